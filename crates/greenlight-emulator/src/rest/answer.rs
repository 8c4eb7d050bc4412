//! Answers and refusals in GitHub's form, and lists in pages.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Call;
use crate::git::GitError;

/// How many items a page has unless asked otherwise.
const PER_PAGE_USUAL: usize = 30;
/// How many items a page may have.
const PER_PAGE_MAX: usize = 100;
/// Where GitHub explains its API.
pub const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// What an answer carries.
#[derive(Clone, Debug)]
pub enum Body {
    None,
    Json(Value),
    Raw { content_type: &'static str, bytes: Bytes },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Body,
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// Returns an answer with a JSON body.
    pub fn json(status: u16, body: Value) -> Answer {
        Answer { status, body: Body::Json(body), headers: Vec::new() }
    }

    /// Returns 200 with a body.
    pub fn ok(body: Value) -> Answer {
        Answer::json(200, body)
    }

    /// Returns 201 with a body, and where the new thing is.
    pub fn created(body: Value) -> Answer {
        let location = body["url"].as_str().map(str::to_owned);
        let mut answer = Answer::json(201, body);
        answer.headers.extend(location.map(|location| ("location", location)));
        answer
    }

    /// Returns 204.
    pub fn no_content() -> Answer {
        Answer { status: 204, body: Body::None, headers: Vec::new() }
    }

    /// Returns 200 with plain text.
    pub fn text(text: &str) -> Answer {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Answer {
            status: 200,
            body: Body::Raw { content_type: "text/plain; charset=utf-8", bytes },
            headers: Vec::new(),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: u16,
    pub message: String,
    pub errors: Option<Box<Value>>,
    pub documentation: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

impl ApiError {
    /// Returns a refusal with this message.
    pub fn new(status: u16, message: String) -> ApiError {
        ApiError { status, message, errors: None, documentation: DOCUMENTATION, headers: Vec::new() }
    }

    /// Returns 404, which also stands for what the caller must not know of.
    pub fn not_found() -> ApiError {
        ApiError::new(404, "Not Found".to_owned())
    }

    /// Returns 403 with this message.
    pub fn forbidden(message: &str) -> ApiError {
        ApiError::new(403, message.to_owned())
    }

    /// Returns 422 for one field.
    pub fn invalid(resource: &str, field: &str, code: &str, message: Option<&str>) -> ApiError {
        let mut error = json!({"resource": resource, "field": field, "code": code});
        if let Some(message) = message {
            error["message"] = json!(message);
        }
        ApiError { errors: Some(Box::new(json!([error]))), ..ApiError::new(422, "Validation Failed".to_owned()) }
    }

    /// Returns 422 with a message of its own among the errors.
    pub fn custom(resource: &str, message: &str) -> ApiError {
        let errors = json!([{"resource": resource, "code": "custom", "message": message}]);
        ApiError { errors: Some(Box::new(errors)), ..ApiError::new(422, "Validation Failed".to_owned()) }
    }

    /// Returns 422 for a field that is not there.
    pub fn missing_field(resource: &str, field: &str) -> ApiError {
        ApiError::invalid(resource, field, "missing_field", None)
    }

    /// Turns it into an answer.
    pub fn into_answer(self) -> Answer {
        let mut body = json!({"message": self.message});
        if let Some(errors) = self.errors {
            body["errors"] = *errors;
        }
        body["documentation_url"] = json!(self.documentation);
        body["status"] = json!(self.status.to_string());
        Answer { status: self.status, body: Body::Json(body), headers: self.headers }
    }
}

impl From<GitError> for ApiError {
    fn from(error: GitError) -> ApiError {
        match error {
            GitError::Missing(_) | GitError::Unexpected(..) => ApiError::not_found(),
            GitError::RefMoved(_) => ApiError::new(409, "Reference cannot be updated: it moved meanwhile".to_owned()),
            error => {
                tracing::error!(%error, "a repository on disk does not answer");
                ApiError::new(500, "Server Error".to_owned())
            }
        }
    }
}

impl Call {
    /// Returns one page of a list.
    pub fn list<T>(&self, items: Vec<T>, write: impl Fn(T) -> Value) -> Answer {
        let (page, links) = self.page(items);
        let mut answer = Answer::ok(Value::Array(page.into_iter().map(write).collect()));
        answer.headers.extend(links.map(|links| ("link", links)));
        answer
    }

    /// Returns one page of a list that stands below `key`, beside the count of all.
    pub fn counted_list<T>(&self, key: &str, items: Vec<T>, write: impl Fn(T) -> Value) -> Answer {
        let total = items.len();
        let (page, links) = self.page(items);
        let mut body = json!({"total_count": total});
        body[key] = Value::Array(page.into_iter().map(write).collect());
        let mut answer = Answer::ok(body);
        answer.headers.extend(links.map(|links| ("link", links)));
        answer
    }

    /// Returns how many items a page is to have.
    pub fn per_page(&self) -> usize {
        self.parameter("per_page").and_then(|text| text.parse().ok()).unwrap_or(PER_PAGE_USUAL).clamp(1, PER_PAGE_MAX)
    }

    /// Returns the address of this request with one parameter set.
    pub fn address_with(&self, name: &str, value: &str) -> String {
        self.address_instead(&[name], name, value)
    }

    /// Returns the address of this request with one parameter set instead of others.
    pub fn address_instead(&self, gone: &[&str], name: &str, value: &str) -> String {
        let stays = |(known, _): &&(String, String)| !gone.contains(&known.as_str());
        let others = self.query.iter().filter(stays).map(|(name, value)| (name.as_str(), value.as_str()));
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair(name, value).finish();
        format!("{}{}?{query}", self.site.urls.api, self.path)
    }

    fn page<T>(&self, items: Vec<T>) -> (Vec<T>, Option<String>) {
        let per_page = self.per_page();
        let page = self.parameter("page").and_then(|text| text.parse().ok()).unwrap_or(1_usize).max(1);
        let last = items.len().div_ceil(per_page).max(1);
        let mut links = Vec::new();
        let mut link = |number: usize, rel: &str| {
            links.push(format!("<{}>; rel=\"{rel}\"", self.address_with("page", &number.to_string())))
        };
        if page > 1 {
            link(page - 1, "prev");
        }
        if page < last {
            link(page + 1, "next");
            link(last, "last");
        }
        if page > 1 {
            link(1, "first");
        }
        let shown = items.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
        (shown, (!links.is_empty()).then(|| links.join(", ")))
    }
}
