//! What happened to a repository's branches, in pages that are turned by cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Answer, ApiError, Call, GET, Level, Outcome, Reach, repository_of};
use crate::model::{At, activity::Activity};

/// GitHub's words for what may happen; nothing is ever merged by a queue here.
const TYPES: [&str; 6] = ["push", "force_push", "branch_creation", "branch_deletion", "pr_merge", "merge_queue_merge"];
/// GitHub's words for how far back to look, in days.
const PERIODS: [(&str, i64); 5] = [("day", 1), ("week", 7), ("month", 30), ("quarter", 90), ("year", 365)];
/// Milliseconds of a day.
const DAY: i64 = 24 * 3600 * 1000;
/// What a cursor names, before it is encoded.
const CURSOR: &str = "activity:";

/// What is asked for.
struct Wanted<'a> {
    is_oldest_first: bool,
    /// The full ref.
    name: Option<String>,
    actor: Option<&'a str>,
    kind: Option<&'a str>,
    since: Option<At>,
    before: Option<u64>,
    after: Option<u64>,
}

/// Answers `GET /repos/{owner}/{repo}/activity`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, ["activity"]) => list(call, reach),
        _ => Err(ApiError::not_found()),
    }
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "contents", "repo")?;
    let wanted = Wanted::new(call)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let fits = |activity: &&Activity| {
        let by = |login: &str| look.login(activity.actor).eq_ignore_ascii_case(login);
        wanted.fits(activity) && wanted.actor.is_none_or(by)
    };
    let mut found: Vec<&Activity> = repository.activities.iter().filter(fits).collect();
    if !wanted.is_oldest_first {
        found.reverse();
    }
    let (from, to) = wanted.page(&found, call.per_page());
    let (is_first, is_last) = (from == 0, to == found.len());
    let page = &found[from..to];
    let mut links = Vec::new();
    let mut link = |activity: Option<&&Activity>, name: &str, rel: &str| {
        let cursor = activity.map(|activity| URL_SAFE_NO_PAD.encode(format!("{CURSOR}{}", activity.id)));
        let address = cursor.map(|cursor| call.address_instead(&["before", "after"], name, &cursor));
        links.extend(address.map(|address| format!("<{address}>; rel=\"{rel}\"")));
    };
    if !is_last {
        link(page.last(), "after", "next");
    }
    if !is_first {
        link(page.first(), "before", "prev");
    }
    let render = look.render();
    let mut answer = Answer::ok(Value::Array(page.iter().map(|activity| render.activity(activity)).collect()));
    if !links.is_empty() {
        answer.headers.push(("link", links.join(", ")));
    }
    Ok(answer)
}

impl<'a> Wanted<'a> {
    fn new(call: &'a Call) -> Result<Self, ApiError> {
        let direction = call.parameter("direction").unwrap_or("desc");
        if !matches!(direction, "asc" | "desc") {
            return Err(refused(&format!("direction {direction} is neither asc nor desc")));
        }
        let kind = call.parameter("activity_type");
        if let Some(kind) = kind.filter(|kind| !TYPES.contains(kind)) {
            return Err(refused(&format!("activity_type {kind} is none of {}", TYPES.join(", "))));
        }
        let full = |name: &str| if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") };
        Ok(Self {
            is_oldest_first: direction == "asc",
            name: call.parameter("ref").map(full),
            actor: call.parameter("actor"),
            kind,
            since: call.parameter("time_period").map(since).transpose()?,
            before: call.parameter("before").map(|text| cursor(text, "before")).transpose()?,
            after: call.parameter("after").map(|text| cursor(text, "after")).transpose()?,
        })
    }

    fn fits(&self, activity: &Activity) -> bool {
        self.name.as_ref().is_none_or(|name| *name == activity.name)
            && self.kind.is_none_or(|kind| kind == activity.kind.word())
            && self.since.is_none_or(|since| activity.at >= since)
    }

    /// Returns from where to where a list is shown. The activity that a cursor names may be gone by now: what counts is its place.
    fn page(&self, list: &[&Activity], per_page: usize) -> (usize, usize) {
        let comes_before = |one: u64, other: u64| if self.is_oldest_first { one < other } else { one > other };
        let from = self.after.map_or(0, |cursor| {
            list.partition_point(|activity| activity.id == cursor || comes_before(activity.id, cursor))
        });
        let to = self
            .before
            .map_or(list.len(), |cursor| list.partition_point(|activity| comes_before(activity.id, cursor)))
            .max(from);
        // Who turns back wants the page right before the cursor.
        if self.before.is_some() && self.after.is_none() {
            (to.saturating_sub(per_page), to)
        } else {
            (from, to.min(from.saturating_add(per_page)))
        }
    }
}

fn since(period: &str) -> Result<At, ApiError> {
    match PERIODS.iter().find(|(word, _)| *word == period) {
        Some((_, days)) => Ok(At(At::now().0 - days * DAY)),
        None => Err(refused(&format!("time_period {period} is none of day, week, month, quarter and year"))),
    }
}

fn cursor(text: &str, parameter: &str) -> Result<u64, ApiError> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let id = decoded.and_then(|decoded| decoded.strip_prefix(CURSOR)?.parse().ok());
    id.ok_or_else(|| refused(&format!("{parameter} is no cursor of this list")))
}

/// Returns 422 in the simple form, with a sentence of its own.
fn refused(problem: &str) -> ApiError {
    ApiError { errors: Some(Box::new(json!([problem]))), ..ApiError::new(422, "Validation Failed".to_owned()) }
}
