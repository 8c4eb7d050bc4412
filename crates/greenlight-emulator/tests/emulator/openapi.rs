//! See below.
pub fn watch(router: axum::Router) -> axum::Router { router }
