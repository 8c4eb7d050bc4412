//! Migrations, with rows in the tables.

use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use greenlight_core::port::Store as _;
use greenlight_store::{Database, OpenError};

use crate::{commit, database, delivery, made};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Rows as a server of that version wrote them, for the tables that each migration found.
const ROWS: [&str; 4] = [
    "
    INSERT INTO delivery (place, state, form, received_at, size, id, event, digest, body)
        VALUES (1, 0, 0, 5, 2, 'a', 'push', zeroblob(32), x'28b52ffd20021100007b7d');
    INSERT INTO repository (repo, version, full_name, default_branch) VALUES (7, 3, 'octocat/Hello-World', 'main');
    INSERT INTO audit (repo, at, about, text) VALUES (7, 5, 'run 1', 'it began');
    INSERT INTO run (repo, number, attempt, event, subject, head_sha, sha, workflow, name, run_number, state, reason, created_at)
        VALUES (7, 1, 1, 'push', 'main', printf('%040d', 1), printf('%040d', 1), 'ci.yml', 'CI', 1, 'active', 'it runs', 5);
    INSERT INTO job (repo, run, attempt, key, tried, place, name, state) VALUES (7, 1, 1, 'test', 1, 0, 'test', 'running');
    INSERT INTO step (repo, run, attempt, job, tried, place, name, state, conclusion, completed_at)
        VALUES (7, 1, 1, 'test', 1, 0, 'Run x', 'completed', 'skipped', 6);
",
    "
    INSERT INTO object (kind, repo, run, run_attempt, scope, name, version, owner, media_type, state, parts, size, digest,
                        created_at, used_at, expires_at)
        VALUES ('artifact', 7, 1, 1, '', 'site', '', 'job', 'application/zip', 'whole', '[[\"objects/1/whole\", 2]]', 2, 'ab', 5, 5, 9);
",
    "
    INSERT INTO runner_token (digest, labels, expires_at) VALUES (zeroblob(32), '[\"linux\"]', 9);
    INSERT INTO runner (name, labels, digest, created_at, seen_at, protocol) VALUES ('builder-1', '[\"linux\"]', zeroblob(32), 5, 5, 1);
",
    "
    INSERT INTO annotation (repo, run, attempt, job, tried, place, step, level, message, file, line)
        VALUES (7, 1, 1, 'test', 1, 0, 2, 'error', 'it broke', 'a.rs', 3);
    INSERT INTO summary (repo, run, attempt, job, tried, place, step, size, digest, body)
        VALUES (7, 1, 1, 'test', 1, 0, 2, 2, zeroblob(32), x'28b52ffd20021100007b7d');
",
];

#[tokio::test]
async fn every_step_of_the_way_keeps_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(directory.path().join("greenlight.db")).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    let mut rows = ROWS.iter();
    for migration in MIGRATIONS.iter() {
        connection.apply("_sqlx_migrations", migration).await.unwrap();
        if let Some(rows) = rows.next() {
            sqlx::raw_sql(*rows).execute(&mut connection).await.unwrap();
        }
    }
    assert!(rows.next().is_none(), "there are rows for a migration that is not there");
    connection.close().await.unwrap();

    let database = Database::open(directory.path()).await.unwrap();
    let waiting = database.waiting(0, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|waiting| &*waiting.delivery.body).collect::<Vec<_>>(), [b"{}"]);
    assert_eq!(database.repositories().await.unwrap()[0].full_name.as_ref(), "octocat/Hello-World");
    assert_eq!(database.load(greenlight_core::id::RepoId(7)).await.unwrap().unwrap().version, 3);
    let attempt = greenlight_core::id::AttemptId {
        repo: greenlight_core::id::RepoId(7),
        run: greenlight_core::id::RunNumber(1),
        run_attempt: 1,
        job: "test".into(),
        tried: 1,
    };
    let detail = database.history().run(attempt.repo, attempt.run).await.unwrap().unwrap();
    let step = &detail.attempts[0].1[0].steps[0];
    let skipped = Some(greenlight_core::run::Conclusion::Skipped);
    assert_eq!((step.outcome, step.conclusion), (skipped, skipped), "a step of then has no outcome of its own");
    assert_eq!(&*database.history().annotations(&attempt).await.unwrap()[0].message, "it broke");
    assert_eq!(database.history().summaries(&attempt).await.unwrap(), [(2, "{}".to_owned())]);
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let (directory, database) = database().await;
    database.receive(&delivery("a", b"a")).await.unwrap();
    database.commit(&commit(0, made::entities())).await.unwrap();
    database.close().await;
    let again = Database::open(directory.path()).await.unwrap();
    assert_eq!(again.load(made::repository().id).await.unwrap().unwrap().entities.len(), made::entities().len());
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let (directory, database) = database().await;
    database.close().await;
    let mut intruder =
        SqliteConnectOptions::new().filename(directory.path().join("greenlight.db")).connect().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, zeroblob(48), 0)",
    )
    .execute(&mut intruder)
    .await
    .unwrap();
    let refused = Database::open(directory.path()).await;
    assert!(matches!(refused, Err(OpenError::Migration { .. })), "it must not be opened");
}

#[tokio::test]
async fn pages_find_their_rows_by_an_index() {
    let (directory, database) = database().await;
    database.commit(&commit(0, made::entities())).await.unwrap();
    let mut reader =
        SqliteConnectOptions::new().filename(directory.path().join("greenlight.db")).connect().await.unwrap();
    for statement in [
        "SELECT * FROM run WHERE seq < 9 AND repo = 1 ORDER BY seq DESC LIMIT 9",
        "SELECT * FROM run WHERE seq < 9 AND head_sha = 'x' ORDER BY seq DESC LIMIT 9",
        "SELECT * FROM run WHERE repo = 1 AND pull = 3 ORDER BY seq DESC LIMIT 9",
        "SELECT * FROM run WHERE repo = 1 AND number = 3 ORDER BY attempt DESC",
        "SELECT count(*) FROM run WHERE state = 'active'",
        "SELECT seq FROM run WHERE state = 'completed' AND completed_at < 9 ORDER BY completed_at LIMIT 9",
        "SELECT place FROM delivery WHERE state = 0 AND place > 1 ORDER BY place LIMIT 9",
        "SELECT * FROM delivery WHERE place < 9 ORDER BY place DESC LIMIT 9",
        "SELECT * FROM audit WHERE repo = 1 AND about = 'x' ORDER BY id DESC LIMIT 9",
        "SELECT * FROM audit WHERE repo = 1 ORDER BY id DESC LIMIT 9",
        "SELECT * FROM deployment WHERE repo = 1 AND environment = 'x' ORDER BY id DESC LIMIT 9",
        "SELECT * FROM entity WHERE repo = 1",
        "SELECT * FROM step WHERE repo = 1 AND run = 1 AND attempt = 1 ORDER BY job, tried, place",
        "SELECT * FROM annotation WHERE repo = 1 AND run = 1 AND attempt = 1 ORDER BY job, tried, place",
        "SELECT * FROM annotation WHERE (repo, run, attempt, job, tried) = (1, 1, 1, 'x', 1)",
        "SELECT job, tried, step, size FROM summary WHERE repo = 1 AND run = 1 AND attempt = 1 ORDER BY job, tried, place",
        "SELECT attempt, tried FROM job WHERE repo = 1 AND run = 1 AND key = 'x'",
        "SELECT * FROM object WHERE kind = 'cache' AND repo = 1 AND run = 0 AND scope = 'a' AND version = 'b' AND name = 'c' AND run_attempt = 0",
        "SELECT * FROM object WHERE kind = 'cache' AND repo = 1 AND state = 'whole' ORDER BY used_at LIMIT 9",
        "SELECT * FROM object WHERE expires_at <= 9 ORDER BY expires_at LIMIT 9",
        "SELECT * FROM object WHERE state <> 'whole' AND created_at <= 9 ORDER BY created_at LIMIT 9",
    ] {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&mut reader)
            .await
            .unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let sorted = plan.iter().any(|line| line.contains("TEMP B-TREE"));
        assert!(
            plan.iter().all(|line| line.starts_with("SEARCH") || line.contains("INDEX run_active")) && !sorted,
            "{statement}: {plan:?}"
        );
    }
}
