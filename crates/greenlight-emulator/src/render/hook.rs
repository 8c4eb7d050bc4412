//! Hooks and their deliveries.

use serde_json::{Map, Value, json};

use super::Render;
use crate::{
    model::{Hook, HookTarget, hook::HookConfig},
    webhook::Delivery,
};

/// Writes where a hook delivers; the secret is never shown.
pub fn config(config: &HookConfig) -> Value {
    let mut object =
        json!({"content_type": config.content_type, "insecure_ssl": config.insecure_ssl, "url": config.url});
    if config.secret.is_some() {
        object["secret"] = json!("********");
    }
    object
}

impl Render<'_> {
    /// Writes a hook.
    pub fn hook(&self, hook: &Hook) -> Value {
        let url = self.hook_url(hook);
        let (code, status, message) = match &hook.last_response {
            Some((code, status, message)) => (Some(*code), status.as_str(), Some(message.as_str())),
            None => (None, "unused", None),
        };
        let (kind, with_test) = match hook.target {
            HookTarget::Repository(_) => ("Repository", true),
            HookTarget::Organization(_) => ("Organization", false),
            HookTarget::App(_) => ("App", false),
        };
        let mut object = json!({
            "type": kind,
            "id": hook.id,
            "name": hook.name,
            "active": hook.active,
            "events": hook.events,
            "config": config(&hook.config),
            "updated_at": hook.updated_at.iso(),
            "created_at": hook.created_at.iso(),
            "url": url,
            "ping_url": format!("{url}/pings"),
            "deliveries_url": format!("{url}/deliveries"),
            "last_response": {"code": code, "status": status, "message": message},
        });
        if with_test {
            object["test_url"] = json!(format!("{url}/tests"));
        }
        object
    }

    /// Writes an attempt as lists have it.
    pub fn delivery_item(&self, delivery: &Delivery) -> Value {
        json!({
            "id": delivery.id,
            "guid": delivery.guid,
            "delivered_at": delivery.delivered_at.iso_precise(),
            "redelivery": delivery.redelivery,
            "duration": delivery.duration,
            "status": delivery.status,
            "status_code": delivery.status_code,
            "event": delivery.event,
            "action": delivery.action,
            "installation_id": delivery.installation,
            "repository_id": delivery.repository,
            "throttled_at": null,
        })
    }

    /// Writes an attempt with request and response.
    pub fn delivery(&self, delivery: &Delivery) -> Value {
        let headers = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<String, Value>>()
        };
        let mut object = self.delivery_item(delivery);
        let payload: Value = serde_json::from_str(&delivery.payload).unwrap_or(Value::Null);
        object["url"] = json!(delivery.url);
        object["request"] = json!({"headers": headers(&delivery.request_headers), "payload": payload});
        object["response"] = json!({"headers": headers(&delivery.response_headers), "payload": delivery.response_body});
        object
    }

    fn hook_url(&self, hook: &Hook) -> String {
        match hook.target {
            HookTarget::Repository(id) => match self.model.repositories.get(&id) {
                Some(repository) => self.api_of(repository, &format!("/hooks/{}", hook.id)),
                None => self.api(&format!("/repositories/{id}/hooks/{}", hook.id)),
            },
            HookTarget::Organization(id) => self.api(&format!("/orgs/{}/hooks/{}", self.model.login(id), hook.id)),
            HookTarget::App(_) => self.api("/app/hook"),
        }
    }
}
