//! What happened to branches.

use serde_json::{Value, json};

use super::{Render, node_id};
use crate::model::activity::Activity;

impl Render<'_> {
    /// Writes an activity.
    pub fn activity(&self, activity: &Activity) -> Value {
        json!({
            "id": activity.id,
            "node_id": node_id("Activity", activity.id),
            "before": activity.before,
            "after": activity.after,
            "ref": activity.name,
            "timestamp": activity.at.iso(),
            "activity_type": activity.kind.word(),
            "actor": self.user(activity.actor),
        })
    }
}
