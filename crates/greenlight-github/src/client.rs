//! GitHub's API, as a thin client.
//!
//! One call is one try: nothing is repeated here but a call whose token had just run out, which GitHub did not look at (R15).
//! What a call cannot tell, it does not guess: [`CallError::may_have_taken_effect`] says whether the world must be read back.
//! Calls with one token go side by side only to read, and only a few; writes go one at a time. While GitHub says that a limit
//! is reached, nothing is sent with that token at all.

mod cache;
mod credentials;
mod error;
mod lane;
mod link;
mod request;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use greenlight_core::time::{Duration, Timestamp};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use credentials::{AppKey, AppKeyError, Credentials};
pub use error::{CallError, NOTHING_THERE, Remedy};

pub(crate) use request::{Request, repository_path, segment};

use cache::{Cached, EtagCache, Key};
use credentials::{Bearer, Installations};
use error::{Refused, classify};
use lane::Lane;
use transport::{Raw, Transport};

/// Pages that one list may have.
const PAGES_MAX: usize = 100;
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;

/// Longest part of a parser's words that an error repeats, in characters.
const PROBLEM_LENGTH_MAX: usize = 200;

/// How GitHub is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server.
    pub api_url: String,
    /// As whom.
    pub credentials: Credentials,
}

/// GitHub cannot be reached with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address is none.
    #[error("`{0}` is no address of an API: it should look like https://api.github.com or https://HOST/api/v3")]
    Address(String),
}

/// A client. Cheap to clone; clones share tokens, limits and what was read before.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    base: Url,
    credentials: Credentials,
    transport: Transport,
    installations: Installations,
    lanes: Mutex<HashMap<Identity, Arc<Lane>>>,
    etags: Mutex<EtagCache>,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On<'a> {
    /// About this repository ("owner/name"): the personal token, or the token of the App's installation there.
    Repository(&'a str),
    /// An installation by its id.
    Installation(u64),
    /// About ourselves: the personal token, or the App itself.
    Ourselves,
}

/// What limits and remembered answers belong to: a token as GitHub sees it, not as it is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Identity {
    Token,
    App,
    Installation(u64),
}

/// A good answer.
pub(crate) struct Answer {
    pub status: u16,
    pub body: bytes::Bytes,
    next: Option<String>,
    what: String,
}

impl Answer {
    /// Reads the body. GitHub's answers are input like any other (S25).
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| self.bad(&error.to_string()))
    }

    /// An answer that cannot be used. What is wrong with it may repeat what was found, which may be long.
    pub fn bad(&self, problem: &str) -> CallError {
        let problem = problem.chars().take(PROBLEM_LENGTH_MAX).collect();
        CallError::BadAnswer { what: self.what.clone(), problem }
    }
}

impl Client {
    /// Returns a client. Nothing is sent yet, and GitHub need not be reachable.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let refused = || SettingsError::Address(settings.api_url.clone());
        let base = Url::parse(settings.api_url.trim_end_matches('/')).map_err(|_| refused())?;
        let is_plain = base.username().is_empty() && base.password().is_none() && base.query().is_none();
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || !is_plain || base.fragment().is_some() {
            // An address with a password in it is not to be repeated.
            return Err(if is_plain {
                refused()
            } else {
                SettingsError::Address("(an address with more than host and path)".into())
            });
        }
        let inner = Inner {
            transport: Transport::new(base.scheme() == "https"),
            base,
            credentials: settings.credentials,
            installations: Installations::default(),
            lanes: Mutex::default(),
            etags: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Are we a GitHub App?
    pub fn is_app(&self) -> bool {
        matches!(self.inner.credentials, Credentials::App { .. })
    }

    pub(crate) fn app_id(&self) -> Option<&str> {
        match &self.inner.credentials {
            Credentials::App { id, .. } => Some(id),
            Credentials::Token(_) => None,
        }
    }

    /// Notes where a repository belongs, so that it need not be asked.
    pub(crate) fn learn_installation(&self, full_name: &str, installation: u64) {
        self.inner.installations.learn(full_name, installation);
    }

    /// Makes one call. A token of ours that GitHub does not know any more is replaced once.
    pub(crate) async fn call(&self, on: On<'_>, request: &Request) -> Result<Answer, CallError> {
        let bearer = self.bearer(on).await?;
        match self.call_as(&bearer, request).await {
            Err(CallError::Unauthorized { .. }) if bearer.is_renewable() => {
                self.forget(&bearer).await;
                let bearer = self.bearer(on).await?;
                self.call_as(&bearer, request).await
            }
            ended => ended,
        }
    }

    /// Makes a call and reads its answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, on: On<'_>, path: &str) -> Result<T, CallError> {
        self.call(on, &Request::get(path)).await?.json()
    }

    /// Like [`Self::get`], with nothing where GitHub says that there is nothing, or that we may not know.
    pub(crate) async fn get_if_readable<T: DeserializeOwned>(
        &self,
        on: On<'_>,
        path: &str,
    ) -> Result<Option<T>, CallError> {
        match self.get(on, path).await {
            Ok(found) => Ok(Some(found)),
            Err(CallError::NotFound { .. } | CallError::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a whole list, page by page. `field` names the list where the answer is an object.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        on: On<'_>,
        path: &str,
        field: Option<&str>,
    ) -> Result<Vec<T>, CallError> {
        self.list_while(on, path, field, |_| true).await
    }

    /// Reads a list until an item is not wanted any more: that one and all after it are left out.
    pub(crate) async fn list_while<T: DeserializeOwned>(
        &self,
        on: On<'_>,
        path: &str,
        field: Option<&str>,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, CallError> {
        let mut items = Vec::new();
        let mut request = Request::get(path);
        for _ in 0..PAGES_MAX {
            let answer = self.call(on, &request).await?;
            for item in page_of(&answer, field)? {
                let item = serde_json::from_value(item).map_err(|error| answer.bad(&error.to_string()))?;
                if !wanted(&item) {
                    return Ok(items);
                }
                items.push(item);
            }
            match &answer.next {
                None => return Ok(items),
                Some(next) => {
                    request = Request::get(self.inner.path_below(next).ok_or_else(|| elsewhere(&answer, next))?)
                }
            }
        }
        Err(CallError::BadAnswer { what: request.what(), problem: format!("the list has more than {PAGES_MAX} pages") })
    }

    async fn call_as(&self, bearer: &Bearer, request: &Request) -> Result<Answer, CallError> {
        let lane = self.inner.lane(bearer.identity);
        let _turn = lane.turn(request.is_read()).await;
        lane.open_at(now()).map_err(|until| CallError::RateLimited { what: request.what(), until })?;
        let key = request.is_read().then(|| Key { identity: bearer.identity, path: request.path.clone() });
        let cached = key.as_ref().and_then(|key| self.inner.etags().get(key));
        let raw = self.send_following(bearer, request, cached.as_ref()).await?;
        if let (304, Some(cached)) = (raw.status, cached) {
            return Ok(Answer { status: 200, body: cached.body, next: cached.next, what: request.what() });
        }
        let at = now();
        if !(200..300).contains(&raw.status) {
            let refused = classify(request.what(), &raw, at);
            if let Refused { closed_until: Some(until), .. } = refused {
                lane.close_until(until);
            }
            return Err(refused.error);
        }
        if let Some(until) = raw.limit_reached_until(at) {
            lane.close_until(until);
        }
        let next = raw.link.as_deref().and_then(link::next);
        if let (Some(key), Some(etag)) = (key, raw.etag) {
            self.inner.etags().put(key, Cached { etag, body: raw.body.clone(), next: next.clone() });
        }
        Ok(Answer { status: raw.status, body: raw.body, next, what: request.what() })
    }

    /// Follows GitHub to another path of the same host: a repository that was renamed.
    async fn send_following(
        &self,
        bearer: &Bearer,
        request: &Request,
        cached: Option<&Cached>,
    ) -> Result<Raw, CallError> {
        let mut url = self.inner.url(&request.path)?;
        for _ in 0..=REDIRECTS_MAX {
            let raw = self.inner.transport.send(&url, bearer, request, cached.map(|cached| &cached.etag)).await?;
            let follows = match raw.status {
                301 | 302 => request.is_read(),
                307 | 308 => true,
                _ => return Ok(raw),
            };
            let target = raw.location.as_deref().and_then(|location| url.join(location).ok());
            match target.filter(|target| follows && self.inner.is_ours(target)) {
                Some(target) => url = target,
                None => return Err(CallError::Redirected { what: request.what() }),
            }
        }
        Err(CallError::Redirected { what: request.what() })
    }
}

impl Inner {
    fn url(&self, path: &str) -> Result<Url, CallError> {
        Url::parse(&format!("{}{path}", self.base.as_str().trim_end_matches('/')))
            .map_err(|error| CallError::NotSent { what: path.to_owned(), problem: error.to_string() })
    }

    /// Is this an address of the configured host, for the token to be sent there?
    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none()
    }

    /// Returns the path and query of an address below the configured one.
    fn path_below(&self, address: &str) -> Option<String> {
        let url = Url::parse(address).ok().filter(|url| self.is_ours(url))?;
        let path = url.path().strip_prefix(self.base.path().trim_end_matches('/'))?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        path.starts_with('/').then(|| format!("{path}{query}"))
    }

    fn lane(&self, identity: Identity) -> Arc<Lane> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).entry(identity).or_default().clone()
    }

    fn etags(&self) -> std::sync::MutexGuard<'_, EtagCache> {
        self.etags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({}, {:?})", self.inner.base, self.inner.credentials)
    }
}

fn page_of(answer: &Answer, field: Option<&str>) -> Result<Vec<Value>, CallError> {
    let Some(field) = field else { return answer.json() };
    let mut page: Value = answer.json()?;
    match page.get_mut(field).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(answer.bad(&format!("there is no list `{field}`"))),
    }
}

fn elsewhere(answer: &Answer, next: &str) -> CallError {
    let host = Url::parse(next).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    answer.bad(&format!("its next page is at another place ({host}), which is not followed"))
}

/// Returns the present time: an adapter may ask the clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::EPOCH + since_epoch
}
