//! Tells rooms: a Slack incoming webhook, a Hubot, or anybody who takes a signed message.
//!
//! A room has no way to ask whether a line was heard, so a lost answer is tried again: a room may hear a line twice rather
//! than never. The effect's key goes with every message that has room for it, for those who want to tell a repeat. The
//! addresses stand in greenlight.toml, never in a repository; redirects are not followed.

mod message;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::{Answer, Dispatch, Effect, Outcome, Refusal};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RoomName;
use greenlight_core::port::{Hands, Reply};
use reqwest::StatusCode;

use crate::config::Room;
use crate::server::clock;

/// How long a room may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a room may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait that a room may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The rooms of greenlight.toml.
pub struct Rooms {
    rooms: BTreeMap<RoomName, Room>,
    http: reqwest::Client,
}

impl Rooms {
    /// Takes the rooms that were set up.
    pub fn new(rooms: BTreeMap<RoomName, Room>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("greenlight/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { rooms, http })
    }

    async fn tell(&self, name: &RoomName, text: &str, key: &str) -> Outcome {
        let Some(room) = self.rooms.get(name) else {
            let reason = format!("there is no room `{name}`: add [rooms.{name}] to greenlight.toml");
            return Outcome::Refused(Refusal::Other(reason.into()));
        };
        let at = clock::written(clock::now());
        let message = message::write(room, name, text, key, &at);
        let mut request = self.http.post(&message.url).header("Content-Type", "application/json");
        for (header, value) in message.headers {
            request = request.header(header, value);
        }
        match request.body(message.body).send().await {
            Ok(response) => self.judge(name, &response),
            Err(error) => failed(name, &error),
        }
    }

    fn judge(&self, name: &RoomName, response: &reqwest::Response) -> Outcome {
        let status = response.status();
        let reason: Arc<str> = format!("the room `{name}` answered {status}").into();
        match status {
            _ if status.is_success() => Outcome::Done(Answer::Nothing),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                let wait = retry_after(response);
                Outcome::Later { not_before: wait.map(|wait| clock::now() + wait), reason }
            }
            _ if status.is_server_error() => Outcome::Unknown { reason },
            StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Refused(Refusal::Gone(reason)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Refused(Refusal::Forbidden(reason)),
            _ => Outcome::Refused(Refusal::Other(reason)),
        }
    }
}

impl Hands for Rooms {
    fn perform<'a>(&'a self, _: &'a RepositoryRef, dispatch: &'a Dispatch) -> Reply<'a, Outcome> {
        Box::pin(async move {
            match &dispatch.effect {
                Effect::Tell { room, message } => self.tell(room, message, dispatch.key.as_str()).await,
                other => Outcome::Refused(Refusal::Other(format!("a room cannot {}", other.name()).into())),
            }
        })
    }
}

/// A room's address may be a secret, so that the client's own words, which hold it, are not used.
fn failed(name: &RoomName, error: &reqwest::Error) -> Outcome {
    match error.is_connect() {
        true => Outcome::Later { not_before: None, reason: format!("the room `{name}` cannot be reached").into() },
        false if error.is_timeout() => {
            let reason = format!("the room `{name}` did not answer within {} s", ANSWER_WITHIN.as_secs());
            Outcome::Unknown { reason: reason.into() }
        }
        false => Outcome::Unknown { reason: format!("the answer of the room `{name}` was lost").into() },
    }
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get("Retry-After")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
