//! The mirrors: files at a commit, changed paths, test merges.
