//! What a job says beside its log: annotations, and the summaries of its steps. For pages and check runs; the core knows neither.
//!
//! A runner that does not know whether it was heard says everything again, so what is there already is not written twice: two
//! annotations of one step that are alike in everything are one. What is more than GitHub shows is left out here as well, whatever
//! a runner sends.

use greenlight_core::id::AttemptId;
use greenlight_core::port::StoreError;
use greenlight_core::shown::{Annotation, AnnotationLevel};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite, SqliteConnection};

use crate::database::Database;
use crate::dialect::store_error;
use crate::packed::{Digest, digest_of, pack, unpack};
use crate::writer::Write;

/// How many annotations of a job are kept, as on GitHub: a check run takes as many with one request.
pub const ANNOTATIONS_MAX: u32 = 50;
/// How many of one level a step may have.
const ANNOTATIONS_OF_A_LEVEL_MAX: u32 = 10;
/// How long a message may be, in characters.
const MESSAGE_LENGTH_MAX: usize = 4096;
/// How long a title may be, in characters.
const TITLE_LENGTH_MAX: usize = 255;
/// How long the name of a file may be, in characters.
const FILE_LENGTH_MAX: usize = 1024;
/// How many summaries of a job are kept.
pub const SUMMARIES_MAX: u32 = 20;
/// How large one may be; a larger one is left out.
pub const SUMMARY_SIZE_MAX: usize = 1 << 20;

/// The summary of a step, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// The step's place.
    pub step: u32,
    /// How many bytes the text has.
    pub size: u64,
}

/// Something that a job said, to be written.
pub struct Remark {
    attempt: AttemptId,
    what: What,
}

enum What {
    Annotation(Annotation),
    Summary { step: u32, size: usize, digest: Digest, body: Vec<u8> },
}

impl Database {
    /// Keeps an annotation of a job attempt, where there are not too many; one that is there already is passed over.
    pub async fn annotate(&self, attempt: &AttemptId, annotation: &Annotation) -> Result<(), StoreError> {
        self.remark(attempt, What::Annotation(clipped(annotation))).await
    }

    /// Keeps the summary of a step, where it is not too large and there are not too many; one that is there already is passed over.
    pub async fn summarize(&self, attempt: &AttemptId, step: u32, markdown: &str) -> Result<(), StoreError> {
        if markdown.is_empty() || markdown.len() > SUMMARY_SIZE_MAX {
            return Ok(());
        }
        let bytes = markdown.as_bytes();
        let body = pack(bytes).map_err(|error| StoreError::Unavailable(format!("packing a summary: {error}")))?;
        self.remark(attempt, What::Summary { step, size: bytes.len(), digest: digest_of(bytes), body }).await
    }

    async fn remark(&self, attempt: &AttemptId, what: What) -> Result<(), StoreError> {
        self.write(Write::Remark(Box::new(Remark { attempt: attempt.clone(), what }))).await.map(drop)
    }
}

fn clipped(annotation: &Annotation) -> Annotation {
    let clip = |text: &str, max: usize| text.chars().take(max).collect::<String>().into();
    Annotation {
        message: clip(&annotation.message, MESSAGE_LENGTH_MAX),
        title: annotation.title.as_deref().map(|title| clip(title, TITLE_LENGTH_MAX)),
        file: annotation.file.as_deref().map(|file| clip(file, FILE_LENGTH_MAX)),
        ..annotation.clone()
    }
}

impl Remark {
    /// Returns about how much it adds to the log.
    pub fn weight(&self) -> usize {
        match &self.what {
            What::Annotation(_) => 4096,
            What::Summary { body, .. } => 4096 + body.len(),
        }
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Binds the names of a job attempt: ?1 to ?5.
fn of_attempt<'q>(query: Query<'q>, attempt: &AttemptId) -> Query<'q> {
    query
        .bind(attempt.repo.0.cast_signed())
        .bind(attempt.run.0.cast_signed())
        .bind(attempt.run_attempt)
        .bind(attempt.job.as_str().to_owned())
        .bind(attempt.tried)
}

/// Writes within the open transaction.
pub async fn write(connection: &mut SqliteConnection, remark: &Remark) -> sqlx::Result<()> {
    let query = match &remark.what {
        What::Annotation(annotation) => of_attempt(
            sqlx::query(
                "WITH known AS (
                     SELECT * FROM annotation WHERE (repo, run, attempt, job, tried) = (?1, ?2, ?3, ?4, ?5)
                 )
                 INSERT INTO annotation (repo, run, attempt, job, tried, place, step, level, message, title, file,
                                         line, end_line, start_column, end_column)
                 SELECT ?1, ?2, ?3, ?4, ?5, (SELECT count(*) FROM known), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
                 WHERE (SELECT count(*) FROM known) < ?15
                   AND (SELECT count(*) FROM known WHERE step = ?6 AND level = ?7) < ?16
                   AND NOT EXISTS (SELECT 1 FROM known WHERE step = ?6 AND level = ?7 AND message = ?8 AND title IS ?9
                       AND file IS ?10 AND line IS ?11 AND end_line IS ?12 AND start_column IS ?13 AND end_column IS ?14)",
            ),
            &remark.attempt,
        )
        .bind(annotation.step)
        .bind(annotation.level.as_str())
        .bind(annotation.message.to_string())
        .bind(annotation.title.as_deref().map(str::to_owned))
        .bind(annotation.file.as_deref().map(str::to_owned))
        .bind(annotation.line)
        .bind(annotation.end_line)
        .bind(annotation.column)
        .bind(annotation.end_column)
        .bind(ANNOTATIONS_MAX)
        .bind(ANNOTATIONS_OF_A_LEVEL_MAX),
        What::Summary { step, size, digest, body } => of_attempt(
            sqlx::query(
                "WITH known AS (
                     SELECT step, digest FROM summary WHERE (repo, run, attempt, job, tried) = (?1, ?2, ?3, ?4, ?5)
                 )
                 INSERT INTO summary (repo, run, attempt, job, tried, place, step, size, digest, body)
                 SELECT ?1, ?2, ?3, ?4, ?5, (SELECT count(*) FROM known), ?6, ?7, ?8, ?9
                 WHERE (SELECT count(*) FROM known) < ?10
                   AND NOT EXISTS (SELECT 1 FROM known WHERE step = ?6 AND digest = ?8)",
            ),
            &remark.attempt,
        )
        .bind(*step)
        .bind(i64::try_from(*size).expect("a summary is small"))
        .bind(digest.to_vec())
        .bind(body.clone())
        .bind(SUMMARIES_MAX),
    };
    query.execute(connection).await.map(drop)
}

/// Returns an attempt's annotations, in the order in which they came.
pub async fn annotations(connection: &mut SqliteConnection, attempt: &AttemptId) -> sqlx::Result<Vec<Annotation>> {
    let asked = sqlx::query(
        "SELECT * FROM annotation WHERE repo = ?1 AND run = ?2 AND attempt = ?3 AND job = ?4 AND tried = ?5 ORDER BY place",
    );
    of_attempt(asked, attempt).fetch_all(connection).await?.iter().map(annotation_row).collect()
}

/// Returns the summaries of an attempt's steps with their texts, in the order in which they came.
pub async fn summaries(
    connection: &mut SqliteConnection,
    attempt: &AttemptId,
) -> Result<Vec<(u32, String)>, StoreError> {
    let asked = sqlx::query(
        "SELECT step, size, body FROM summary WHERE repo = ?1 AND run = ?2 AND attempt = ?3 AND job = ?4 AND tried = ?5
         ORDER BY place",
    );
    let rows = of_attempt(asked, attempt)
        .fetch_all(connection)
        .await
        .map_err(|error| store_error("reading summaries", &error))?;
    let read = |row: &SqliteRow| {
        let size = usize::try_from(row.get::<i64, _>("size")).unwrap_or(0);
        let text = unpack(row.get("body"), size).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| StoreError::Corrupt(format!("a summary of {attempt} cannot be unpacked")))?;
        Ok((row.get("step"), text))
    };
    rows.iter().map(read).collect()
}

/// Reads an annotation's row.
pub fn annotation_row(row: &SqliteRow) -> sqlx::Result<Annotation> {
    let text = |column: &str| row.get::<Option<&str>, _>(column).map(Into::into);
    let level = row.get::<&str, _>("level");
    let level = AnnotationLevel::parse(level)
        .ok_or_else(|| sqlx::Error::Decode(format!("{level} is no level of an annotation").into()))?;
    Ok(Annotation {
        step: row.get("step"),
        level,
        message: row.get::<&str, _>("message").into(),
        title: text("title"),
        file: text("file"),
        line: row.get("line"),
        end_line: row.get("end_line"),
        column: row.get("start_column"),
        end_column: row.get("end_column"),
    })
}

/// Reads a summary's row.
pub fn summary_row(row: &SqliteRow) -> SummaryRow {
    SummaryRow { step: row.get("step"), size: row.get::<i64, _>("size").cast_unsigned() }
}
