//! What is sent to each kind of room.

use aws_lc_rs::hmac;
use greenlight_core::id::RoomName;

use crate::config::{Room, RoomKind};

/// A message that can be sent.
pub struct Message {
    /// Where to.
    pub url: String,
    /// Headers besides the content type.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// Writes `text` as the room wants it.
pub fn write(room: &Room, name: &RoomName, text: &str, key: &str, at: &str) -> Message {
    let url = room.url.expose();
    match &room.kind {
        RoomKind::Slack => {
            let body = serde_json::json!({ "text": text }).to_string();
            Message { url: url.to_owned(), headers: Vec::new(), body }
        }
        RoomKind::Hubot { room } => {
            let body = serde_json::json!({ "message": text, "room": &**room }).to_string();
            Message { url: format!("{}/janky", url.trim_end_matches('/')), headers: Vec::new(), body }
        }
        RoomKind::Webhook { secret } => {
            let body =
                serde_json::json!({ "id": key, "event": "message", "room": name.as_str(), "text": text, "at": at })
                    .to_string();
            let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()), body.as_bytes());
            let headers = vec![
                ("X-Greenlight-Event", "message".to_owned()),
                ("X-Greenlight-Delivery", key.to_owned()),
                ("X-Greenlight-Signature-256", format!("sha256={}", hex::encode(signed))),
            ];
            Message { url: url.to_owned(), headers, body }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn written(kind: RoomKind) -> Message {
        let room = Room { kind, url: Secret::new("http://127.0.0.1:9/").unwrap() };
        write(&room, &"deploys".into(), "it \"works\"", "tell/1", "2026-01-01T00:00:00Z")
    }

    #[test]
    fn slack_gets_a_text() {
        let message = written(RoomKind::Slack);
        assert_eq!((&*message.url, &*message.body), ("http://127.0.0.1:9/", r#"{"text":"it \"works\""}"#));
    }

    #[test]
    fn hubot_gets_what_janky_sent() {
        let message = written(RoomKind::Hubot { room: "#ops".into() });
        assert_eq!(
            (&*message.url, &*message.body),
            ("http://127.0.0.1:9/janky", r##"{"message":"it \"works\"","room":"#ops"}"##)
        );
    }

    #[test]
    fn a_webhook_gets_a_signature() {
        let message = written(RoomKind::Webhook { secret: Secret::new("s").unwrap() });
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s");
        let signature = message
            .headers
            .iter()
            .find(|(name, _)| *name == "X-Greenlight-Signature-256")
            .map(|(_, value)| value.as_str());
        let raw = hex::decode(signature.and_then(|value| value.strip_prefix("sha256=")).unwrap()).unwrap();
        assert!(hmac::verify(&key, message.body.as_bytes(), &raw).is_ok());
        assert!(message.body.contains(r#""event":"message","room":"deploys""#));
    }
}
