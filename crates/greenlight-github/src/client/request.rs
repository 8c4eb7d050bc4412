//! One request, and the paths that it may go to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use super::CallError;
use crate::shape::is_full_name;

/// What a path's segment need not escape.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request: where to, and what with.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: Method,
    /// Path and query below the API's address.
    pub path: String,
    pub body: Option<Value>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body) }
    }

    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, path: path.into(), body: Some(body) }
    }

    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, path: path.into(), body: Some(body) }
    }

    /// Does it change nothing?
    pub fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// Returns how errors call it.
    pub fn what(&self) -> String {
        let path = self.path.split('?').next().unwrap_or("");
        format!("{} {path}", self.method)
    }
}

/// Writes `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    match text {
        // These two would be taken for a step in the path.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

/// Returns `/repos/OWNER/NAME` and `rest`.
pub(crate) fn repository_path(full_name: &str, rest: &str) -> Result<String, CallError> {
    if is_full_name(full_name) {
        Ok(format!("/repos/{full_name}{rest}"))
    } else {
        Err(CallError::NotSent {
            what: "a call".into(),
            problem: format!("{full_name:?} is not of the form owner/name"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stay_segments() {
        assert_eq!(segment("dependabot[bot]"), "dependabot%5Bbot%5D");
        assert_eq!(segment("feature/a b?c#d%é"), "feature%2Fa%20b%3Fc%23d%25%C3%A9");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(repository_path("octocat/Hello-World", "/pulls").unwrap(), "/repos/octocat/Hello-World/pulls");
        assert!(repository_path("octocat/../user", "").is_err());
    }

    #[test]
    fn errors_do_not_name_queries() {
        assert_eq!(Request::get("/a/b?c=d").what(), "GET /a/b");
    }
}
