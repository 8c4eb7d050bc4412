//! Apps and installations.

use serde_json::{Value, json};

use super::{Render, node_id};
use crate::model::Installation;

impl Render<'_> {
    /// Writes an App, or null for one that is gone.
    pub fn app(&self, id: u64) -> Value {
        let Some(app) = self.model.apps.get(&id) else { return Value::Null };
        json!({
            "id": app.id,
            "slug": app.slug,
            "node_id": node_id("App", app.id),
            "client_id": format!("Iv23emulated{:08}", app.id),
            "owner": self.user(app.owner),
            "name": app.name,
            "description": "",
            "external_url": self.web(&format!("/apps/{}", app.slug)),
            "html_url": self.web(&format!("/apps/{}", app.slug)),
            "created_at": app.created_at.iso(),
            "updated_at": app.created_at.iso(),
            "permissions": app.permissions,
            "events": app.events,
        })
    }

    /// Writes an installation.
    pub fn installation(&self, installation: &Installation) -> Value {
        let app = self.model.apps.get(&installation.app);
        let account = self.model.accounts.get(&installation.account);
        json!({
            "id": installation.id,
            "client_id": format!("Iv23emulated{:08}", installation.app),
            "account": self.user(installation.account),
            "access_tokens_url": self.api(&format!("/app/installations/{}/access_tokens", installation.id)),
            "repositories_url": self.api("/installation/repositories"),
            "html_url": self.web(&format!("/settings/installations/{}", installation.id)),
            "app_id": installation.app,
            "app_slug": app.map(|app| app.slug.as_str()).unwrap_or_default(),
            "target_id": installation.account,
            "target_type": account.map_or("User", |account| account.kind_name()),
            "permissions": app.map(|app| app.permissions.clone()).unwrap_or_default(),
            "events": app.map(|app| app.events.clone()).unwrap_or_default(),
            "created_at": installation.created_at.iso(),
            "updated_at": installation.created_at.iso(),
            "single_file_name": null,
            "has_multiple_single_files": false,
            "single_file_paths": [],
            "repository_selection": if installation.repositories.is_some() { "selected" } else { "all" },
            "suspended_by": null,
            "suspended_at": null,
        })
    }
}
