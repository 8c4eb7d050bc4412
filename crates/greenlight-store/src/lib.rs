//! The memory: SQLite, stored formats, logs and blobs.
