//! What rooms are told. A line is wanted in the same step as the change that it tells of, so it is told once however often
//! the change is looked at; each room is a lane, so its lines keep their order and an outage loses none.

use crate::config::NotifyOn;
use crate::effect::Effect;
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::repository::Repository;

/// Tells every room that wants to hear of this.
pub(crate) fn tell(state: &mut Repository, on: NotifyOn, about: &str, message: &str) {
    let Some(config) = state.config() else { return };
    for rule in config.notify.iter().filter(|rule| rule.on.contains(&on)) {
        let effect = Effect::Tell { room: rule.room.clone(), message: message.into() };
        let lane = format!("room:{}", rule.room);
        want(state, Wanted::now(format!("tell:{}:{about}", rule.room), Class::Comment, effect).in_lane(lane));
    }
}
