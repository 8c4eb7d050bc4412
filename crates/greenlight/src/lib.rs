//! Self-hosted CI and delivery for GitHub in one program.
