//! Shapes of the entities themselves.

use std::sync::Arc;

use greenlight_core::config::{self, ConfigStanding, LastRight};
use greenlight_core::entity::{Entity, Meta, Person, Proof, Report};
use greenlight_core::event::Permission;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::Sha;
use greenlight_core::timetable::{CronLine, Timetable};
use serde_json::{Value as Json, json};

use super::{Encoder, Fields, FormatError, Stored, Texts};

choice! { Entity {
    "meta" => Meta(meta),
    "person" => Person(person),
    "branch" => Branch(branch),
    "pull" => Pull(pull),
    "suite" => Suite(suite),
    "run" => Run(run),
    "report" => Report(report),
    "verdict" => Verdict(sha, context, verdict),
    "proof" => Proof(proof),
    "environment" => Environment(environment),
    "wish" => Wish(wish),
    "deployment" => Deployment(deployment),
    "item" => Item(item),
} }

record! { RepositoryRef { id, full_name, default_branch } }
record! { Meta {
    repository, last_run, last_token, last_place, run_numbers, config, last_right, reconciled_at, pulls_seen, boot, refs_known, timetable,
} }
record! { Timetable { read_at, lines } }
record! { CronLine { cron, timezone, actor, from } }
word! { Permission { None = "none", Read = "read", Write = "write", Admin = "admin" } }
record! { Person { user, permission, read_at, asked_at, trouble } }
record! { Report { sha, context, wanted, rank, accepted, check_run, writes, compare_at, given_up } }
record! { Proof { tree, tested_at } }

/// Adds what a repository of formats 1 to 4 lacks: what comes due by the clock, which is read anew.
pub(super) fn from_format_4(meta: &mut Json) {
    if let Some(meta) = meta.get_mut("meta").and_then(Json::as_object_mut) {
        meta.insert("timetable".into(), json!({ "read_at": null, "lines": [] }));
    }
}

/// Adds what a repository of formats 1 to 6 lacks: what `.greenlight.yml` said when it was last right, which nobody knows any more.
pub(super) fn from_format_6(meta: &mut Json) {
    if let Some(meta) = meta.get_mut("meta").and_then(Json::as_object_mut) {
        meta.insert("last_right".into(), Json::Null);
    }
}

/// What the file says is not stored: it is decoded again, by the rules of the version that reads it.
impl Stored for ConfigStanding {
    fn write(&self, out: &mut Encoder) {
        out.open();
        match self {
            Self::Unknown => out.tag("unknown"),
            Self::Read { sha, file, config: _ } => {
                out.tag("read");
                out.field("sha", sha);
                out.field("file", file);
            }
        }
        out.close();
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        let mut fields = Fields::of(node)?;
        let standing = match fields.tag()? {
            "unknown" => Self::Unknown,
            "read" => read_config(fields.take("sha", texts)?, fields.take("file", texts)?),
            other => return Err(FormatError(format!("{other} is no word for what is known of .greenlight.yml"))),
        };
        fields.done()?;
        Ok(standing)
    }
}

fn read_config(sha: Sha, file: Option<(Arc<str>, Arc<str>)>) -> ConfigStanding {
    let config = match &file {
        None => Ok(Arc::default()),
        Some((path, text)) => config::decode(path, text).map(Arc::new),
    };
    ConfigStanding::Read { sha, file, config }
}

/// Nor here. What a later version finds wrong stays known by its file alone.
impl Stored for LastRight {
    fn write(&self, out: &mut Encoder) {
        self.file.write(out);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        let file: (Arc<str>, Arc<str>) = Stored::read(node, texts)?;
        let config = config::decode(&file.0, &file.1).map(Arc::new).unwrap_or_default();
        Ok(Self { file, config })
    }
}
