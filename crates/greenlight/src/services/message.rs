//! The messages of the artifact service and the cache service, field by field.

use super::protobuf::Kind::{Bool, MaybeNumber, MaybeText, Message, Number, Text, Time};
use super::protobuf::{Field, Kind};

/// The messages of one method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What is asked.
    pub request: &'static [Field],
    /// What is answered.
    pub reply: &'static [Field],
}

const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_list: false }
}

const fn list(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, is_list: true }
}

const RUN: Field = field(1, "workflow_run_backend_id", Text);
const JOB: Field = field(2, "workflow_job_run_backend_id", Text);
const NAME: Field = field(3, "name", Text);
const OK: Field = field(1, "ok", Bool);
const ARTIFACT_ID: &[Field] = &[OK, field(2, "artifact_id", Number)];

const ARTIFACT: &[Field] = &[
    RUN,
    JOB,
    field(3, "database_id", Number),
    field(4, "name", Text),
    field(5, "size", Number),
    field(6, "created_at", Time),
    field(7, "digest", MaybeText),
];

const METADATA: Field = field(
    1,
    "metadata",
    Message(&[
        field(1, "repository_id", Number),
        list(2, "scope", Message(&[field(1, "scope", Text), field(2, "permission", Number)])),
    ]),
);

/// Every method of both services.
const METHODS: &[Method] = &[
    Method {
        name: "CreateArtifact",
        request: &[
            RUN,
            JOB,
            NAME,
            field(4, "expires_at", Time),
            field(5, "version", Number),
            field(6, "mime_type", MaybeText),
        ],
        reply: &[OK, field(2, "signed_upload_url", Text)],
    },
    Method {
        name: "FinalizeArtifact",
        request: &[RUN, JOB, NAME, field(4, "size", Number), field(5, "hash", MaybeText)],
        reply: ARTIFACT_ID,
    },
    Method {
        name: "ListArtifacts",
        request: &[RUN, JOB, field(3, "name_filter", MaybeText), field(4, "id_filter", MaybeNumber)],
        reply: &[list(1, "artifacts", Message(ARTIFACT))],
    },
    Method { name: "GetSignedArtifactURL", request: &[RUN, JOB, NAME], reply: &[field(1, "signed_url", Text)] },
    Method { name: "DeleteArtifact", request: &[RUN, JOB, NAME], reply: ARTIFACT_ID },
    Method {
        name: "CreateCacheEntry",
        request: &[METADATA, field(2, "key", Text), field(3, "version", Text)],
        reply: &[OK, field(2, "signed_upload_url", Text), field(3, "message", Text)],
    },
    Method {
        name: "FinalizeCacheEntryUpload",
        request: &[METADATA, field(2, "key", Text), field(3, "size_bytes", Number), field(4, "version", Text)],
        reply: &[OK, field(2, "entry_id", Number), field(3, "message", Text)],
    },
    Method {
        name: "GetCacheEntryDownloadURL",
        request: &[METADATA, field(2, "key", Text), list(3, "restore_keys", Text), field(4, "version", Text)],
        reply: &[OK, field(2, "signed_download_url", Text), field(3, "matched_key", Text)],
    },
];

/// Returns the messages of a method.
pub fn of(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}
