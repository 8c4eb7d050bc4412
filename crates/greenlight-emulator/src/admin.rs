//! The emulator's own paths, below `/_emulator`: what GitHub does not have, and the room.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{fault::FaultRule, feed::Kind, model::AccountKind, seed, site::Site};

/// How large a request may be.
const BODY_BYTES_MAX: usize = 1024 * 1024;

type Said = Result<(u16, Value), (u16, String)>;

/// Serves a path below `/_emulator`.
pub async fn serve(site: Arc<Site>, parts: &[&str], request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let outcome = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(bytes) => answer(&site, &head.method, parts, &query, &head.headers, &bytes).await,
        Err(_) => Err((413, "the body is larger than 1 MB".to_owned())),
    };
    let (status, body) = outcome.unwrap_or_else(|(status, message)| (status, json!({"message": message})));
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

async fn answer(
    site: &Arc<Site>,
    method: &Method,
    parts: &[&str],
    query: &[(String, String)],
    headers: &axum::http::HeaderMap,
    bytes: &Bytes,
) -> Said {
    match (method.as_str(), parts) {
        ("POST", ["users"]) => add_user(site, &parse(bytes)?),
        ("POST", ["tokens"]) => add_token(site, &parse(bytes)?),
        ("DELETE", ["tokens", token]) => revoke(site, token),
        ("POST", ["seed"]) => plant(site, bytes).await,
        ("GET", ["apps"]) => Ok((200, apps(site))),
        ("GET", ["faults"]) => Ok((200, json!(site.faults.list()))),
        ("POST", ["faults"]) => add_fault(site, bytes),
        ("DELETE", ["faults"]) => {
            site.faults.clear();
            Ok((200, json!([])))
        }
        ("GET", ["events"]) => read_feed(site, query, &[]).await,
        ("GET", ["requests"]) => read_feed(site, query, &[Kind::Request]).await,
        ("GET", ["deliveries"]) => read_feed(site, query, &[Kind::Delivery]).await,
        ("GET", ["pushes"]) => read_feed(site, query, &[Kind::Push]).await,
        ("GET", ["room"]) => read_feed(site, query, &[Kind::Room]).await,
        ("POST", ["room", kind @ ("slack" | "hubot" | "webhook"), name]) => hear(site, kind, name, headers, bytes),
        _ => Err((404, "no such path below /_emulator".to_owned())),
    }
}

fn parse(bytes: &Bytes) -> Result<Value, (u16, String)> {
    serde_json::from_slice(bytes).map_err(|error| (400, format!("the body is not JSON: {error}")))
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, (u16, String)> {
    value[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| (422, format!("{name} is missing")))
}

async fn read_feed(site: &Site, query: &[(String, String)], kinds: &[Kind]) -> Said {
    let after: u64 = number(query, "after", "a whole number")?.unwrap_or(0);
    let seconds: f64 = number(query, "wait", "a number of seconds")?.unwrap_or(0.0);
    let wait = Duration::try_from_secs_f64(seconds)
        .map_err(|_| (400, format!("wait is a number of seconds, and {seconds} is none")))?;
    Ok((200, Value::Array(site.feed.after(after, kinds, wait).await)))
}

/// Reads a number of the address, where there is one by that name.
fn number<T: std::str::FromStr>(
    query: &[(String, String)],
    name: &str,
    form: &str,
) -> Result<Option<T>, (u16, String)> {
    let Some((_, value)) = query.iter().find(|(known, _)| known == name) else { return Ok(None) };
    let wrong = |_| (400, format!("{name} is {form}, and `{}` is none", value.escape_debug()));
    value.parse().map(Some).map_err(wrong)
}

fn add_user(site: &Site, body: &Value) -> Said {
    let login = text(body, "login")?;
    let mut change = site.change();
    let id = match change.account(login) {
        Some(known) => known.id,
        None => {
            let kind = if body["type"] == "Organization" { AccountKind::Organization } else { AccountKind::User };
            let id = change.add_account(login, kind, body["id"].as_u64());
            if let (Some(account), Some(name)) = (change.accounts.get_mut(&id), body["name"].as_str()) {
                account.name = name.to_owned();
            }
            id
        }
    };
    let shown = change.render().user(id);
    Ok((201, shown))
}

fn add_token(site: &Site, body: &Value) -> Said {
    let login = text(body, "user")?;
    let scopes =
        body["scopes"].as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let mut change = site.change();
    let user = change.account(login).ok_or_else(|| (422, format!("there is no user {login}")))?.id;
    let token = body["token"].as_str().map_or_else(|| format!("ghp_{}", uuid::Uuid::new_v4().simple()), str::to_owned);
    // One that was revoked is a new one when it is made again.
    change.tokens.remove(&token);
    seed::add_token(&mut change, &token, user, scopes);
    Ok((201, json!({"token": token, "user": login})))
}

fn revoke(site: &Site, token: &str) -> Said {
    let mut change = site.change();
    match change.tokens.get_mut(token) {
        Some(known) => known.revoked = true,
        None => return Err((404, "there is no such token".to_owned())),
    }
    Ok((200, json!({"revoked": true})))
}

async fn plant(site: &Arc<Site>, bytes: &Bytes) -> Said {
    let wanted: seed::Seed =
        serde_json::from_slice(bytes).map_err(|error| (422, format!("the seed is not valid: {error}")))?;
    seed::plant(site, &wanted).await.map_err(|error| (422, error.to_string()))?;
    Ok((201, json!({})))
}

fn apps(site: &Site) -> Value {
    let look = site.look();
    let render = look.render();
    let show = |app: &crate::model::App| {
        let mut shown = render.app(app.id);
        shown["private_key"] = json!(app.private_key);
        shown["public_key"] = json!(app.public_key);
        let installed = look.installations.values().filter(|installation| installation.app == app.id);
        shown["installations"] = installed.map(|installation| render.installation(installation)).collect();
        shown
    };
    look.apps.values().map(show).collect()
}

fn add_fault(site: &Site, bytes: &Bytes) -> Said {
    let rule: FaultRule =
        serde_json::from_slice(bytes).map_err(|error| (422, format!("the rule is not valid: {error}")))?;
    rule.check().map_err(|why| (422, format!("the rule is not valid: {why}")))?;
    match site.faults.add(rule) {
        Some(rule) => Ok((201, json!(rule))),
        None => Err((422, "there are too many rules; remove some first".to_owned())),
    }
}

/// Takes a message into the room.
fn hear(site: &Site, kind: &str, name: &str, headers: &axum::http::HeaderMap, bytes: &Bytes) -> Said {
    let body = read_message(headers, bytes)?;
    let (room, said) = match kind {
        "slack" => (name.to_owned(), text(&body, "text")?.to_owned()),
        "hubot" => (body["room"].as_str().unwrap_or(name).to_owned(), text(&body, "message")?.to_owned()),
        _ => {
            let said = ["text", "message", "title"].iter().find_map(|field| body[*field].as_str());
            (name.to_owned(), said.unwrap_or_default().to_owned())
        }
    };
    let signature = headers.get("x-greenlight-signature-256").and_then(|value| value.to_str().ok());
    site.feed.add(Kind::Room, json!({"by": kind, "room": room, "text": said, "body": body, "signature": signature}));
    Ok((200, json!({"ok": true})))
}

/// Reads a message as JSON or as a form, whose `payload` may hold JSON.
fn read_message(headers: &axum::http::HeaderMap, bytes: &Bytes) -> Result<Value, (u16, String)> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return parse(bytes);
    }
    let fields: Map<String, Value> =
        form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), json!(value))).collect();
    match fields.get("payload").and_then(Value::as_str) {
        Some(payload) => serde_json::from_str(payload).map_err(|error| (400, format!("payload is not JSON: {error}"))),
        None => Ok(Value::Object(fields)),
    }
}
