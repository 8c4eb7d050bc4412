//! What the forms do: the same requests that a client would make, as the chosen user.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Shown;
use crate::{
    model::{Token, account::SCOPES_ALL},
    render::escape_path,
    rest::{self, ApiError, Call, Caller},
    site::Site,
};

/// How large a form may be.
const FORM_BYTES_MAX: usize = 1024 * 1024;

/// Somebody who plays a user.
struct Player {
    site: Arc<Site>,
    caller: Caller,
}

/// Takes a form.
pub async fn take(site: Arc<Site>, parts: &[&str], request: Request<Body>) -> Shown {
    let Ok(bytes) = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX).await else {
        return Shown::problem(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large");
    };
    let fields: HashMap<String, String> = form_urlencoded::parse(&bytes).into_owned().collect();
    let Some(player) = Player::choose(site, fields.get("as").map_or("", String::as_str)) else {
        return Shown::problem(StatusCode::UNPROCESSABLE_ENTITY, "there is no such user to act as");
    };
    let outcome = match parts {
        [owner, name, "change"] => player.change(owner, name, &fields).await,
        [owner, name, "pull", number, action] => player.act(owner, name, number, action, &fields).await,
        _ => Err(ApiError::not_found()),
    };
    match outcome {
        Ok(location) => Shown::see(location),
        Err(error) => {
            let details = error.errors.as_ref().map_or(String::new(), |errors| format!(" ({errors})"));
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            Shown::problem(status, &format!("{}{details}", error.message))
        }
    }
}

impl Player {
    fn choose(site: Arc<Site>, login: &str) -> Option<Player> {
        let id = site.look().account(login)?.id;
        let token =
            Token { user: id, scopes: SCOPES_ALL.iter().map(|scope| (*scope).to_owned()).collect(), revoked: false };
        Some(Player { site, caller: Caller::User { id, token, key: format!("page:{id}") } })
    }

    async fn ask(&self, method: Method, path: String, query: &[(&str, &str)], body: Value) -> Result<Value, ApiError> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let call = Call {
            site: Arc::clone(&self.site),
            method,
            path,
            query,
            body,
            caller: self.caller.clone(),
            accept: String::new(),
        };
        match rest::answer(&call).await?.body {
            rest::Body::Json(body) => Ok(body),
            _ => Ok(Value::Null),
        }
    }

    /// Commits one file on a new branch (of the player's fork, where the repository is not theirs to write) and opens a pull request.
    async fn change(&self, owner: &str, name: &str, fields: &HashMap<String, String>) -> Result<String, ApiError> {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let base = format!("/repos/{owner}/{name}");
        let repository = self.ask(Method::GET, base.clone(), &[], Value::Null).await?;
        let branch = repository["default_branch"].as_str().unwrap_or("main").to_owned();
        let writes = repository["permissions"]["push"] == json!(true);
        let target =
            if writes { repository } else { self.ask(Method::POST, format!("{base}/forks"), &[], json!({})).await? };
        let target_name = target["full_name"].as_str().unwrap_or_default().to_owned();
        let head = format!("/repos/{target_name}");
        let tip =
            self.ask(Method::GET, format!("{base}/git/ref/heads/{}", escape_path(&branch)), &[], Value::Null).await?;
        let made = json!({"ref": format!("refs/heads/{}", field("branch")), "sha": tip["object"]["sha"]});
        self.ask(Method::POST, format!("{head}/git/refs"), &[], made).await?;
        self.put(&head, field("branch"), field("path"), field("content"), field("title")).await?;
        let label = format!("{}:{}", target["owner"]["login"].as_str().unwrap_or_default(), field("branch"));
        let pull = self
            .ask(
                Method::POST,
                format!("{base}/pulls"),
                &[],
                json!({"title": field("title"), "head": label, "base": branch}),
            )
            .await?;
        Ok(format!("/{owner}/{name}/pull/{}", pull["number"]))
    }

    async fn put(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        content: &str,
        message: &str,
    ) -> Result<(), ApiError> {
        let address = format!("{repository}/contents/{}", escape_path(path));
        let known = self.ask(Method::GET, address.clone(), &[("ref", branch)], Value::Null).await.ok();
        let text = content.replace("\r\n", "\n");
        let mut wanted = json!({"message": message, "branch": branch, "content": STANDARD.encode(text)});
        if let Some(known) = known {
            wanted["sha"] = known["sha"].clone();
        }
        self.ask(Method::PUT, address, &[], wanted).await.map(|_| ())
    }

    /// Comments, pushes, reviews or merges.
    async fn act(
        &self,
        owner: &str,
        name: &str,
        number: &str,
        action: &str,
        fields: &HashMap<String, String>,
    ) -> Result<String, ApiError> {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let base = format!("/repos/{owner}/{name}");
        match action {
            "comment" => {
                self.ask(Method::POST, format!("{base}/issues/{number}/comments"), &[], json!({"body": field("body")}))
                    .await?;
            }
            "review" => {
                self.ask(Method::POST, format!("{base}/pulls/{number}/reviews"), &[], json!({"event": field("event")}))
                    .await?;
            }
            "merge" => {
                self.ask(
                    Method::PUT,
                    format!("{base}/pulls/{number}/merge"),
                    &[],
                    json!({"merge_method": field("merge_method")}),
                )
                .await?;
            }
            "push" => {
                let pull = self.ask(Method::GET, format!("{base}/pulls/{number}"), &[], Value::Null).await?;
                let head = format!("/repos/{}", pull["head"]["repo"]["full_name"].as_str().unwrap_or_default());
                let message = format!("Change {}", field("path"));
                self.put(
                    &head,
                    pull["head"]["ref"].as_str().unwrap_or_default(),
                    field("path"),
                    field("content"),
                    &message,
                )
                .await?;
            }
            _ => return Err(ApiError::not_found()),
        }
        Ok(format!("/{owner}/{name}/pull/{number}"))
    }
}
