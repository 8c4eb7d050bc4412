//! The conversation of a pull request: comments, reactions, labels. Issues are here only as far as a pull request is one.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, Caller, DELETE, GET, Level, Outcome, PATCH, POST, PUT, Reach, number, pulls::pull_of,
    repository_mut, repository_of,
};
use crate::{
    model::{
        At,
        pull::{Comment, Label, Pull, Reaction},
    },
    push::announce_pull,
    render::{Render, event::fields},
    site::Change,
};

/// How long a comment may be.
const BODY_LENGTH_MAX: usize = 65_536;
const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

/// Answers what is below `/issues` and `/labels`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, ["issues", "comments"]) => list_all(call, reach),
        (GET, ["issues", "comments", id]) => show(call, reach, number(id)?, 200),
        (PATCH, ["issues", "comments", id]) => edit(call, reach, number(id)?),
        (DELETE, ["issues", "comments", id]) => delete(call, reach, number(id)?),
        (POST, ["issues", "comments", id, "reactions"]) => react(call, reach, number(id)?),
        (GET, ["issues", "comments", id, "reactions"]) => reactions(call, reach, number(id)?),
        (GET, ["issues"]) => list_issues(call, reach),
        (GET, ["issues", id]) => issue(call, reach, number(id)?),
        (GET, ["issues", id, "comments"]) => list(call, reach, number(id)?),
        (POST, ["issues", id, "comments"]) => create(call, reach, number(id)?),
        (GET, ["issues", id, "labels"]) => labels_of(call, reach, number(id)?),
        (POST | PUT, ["issues", id, "labels"]) => add_labels(call, method, reach, number(id)?),
        (DELETE, ["issues", id, "labels"]) => remove_labels(call, reach, number(id)?, None),
        (DELETE, ["issues", id, "labels", name]) => remove_labels(call, reach, number(id)?, Some(name)),
        (GET, ["labels"]) => labels(call, reach),
        (POST, ["labels"]) => create_label(call, reach),
        (GET, ["labels", name]) => label(call, reach, name),
        _ => Err(ApiError::not_found()),
    }
}

fn list(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    pull_of(repository, number)?;
    let since = call.parameter("since").and_then(At::parse);
    let wanted = |comment: &&Comment| comment.number == number && since.is_none_or(|since| comment.updated_at >= since);
    let render = look.render();
    Ok(call.list(repository.comments.values().filter(wanted).collect(), |comment| render.comment(repository, comment)))
}

fn list_all(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let since = call.parameter("since").and_then(At::parse);
    let mut comments: Vec<&Comment> =
        repository.comments.values().filter(|comment| since.is_none_or(|since| comment.updated_at >= since)).collect();
    if call.parameter("direction") == Some("desc") {
        comments.reverse();
    }
    let render = look.render();
    Ok(call.list(comments, |comment| render.comment(repository, comment)))
}

fn body_of(call: &Call) -> Result<String, ApiError> {
    let body = call.required("IssueComment", "body")?;
    if body.chars().count() > BODY_LENGTH_MAX {
        return Err(ApiError::invalid(
            "IssueComment",
            "body",
            "custom",
            Some("body is too long (maximum is 65536 characters)"),
        ));
    }
    Ok(body.to_owned())
}

/// Refuses installations that have neither of the two permissions that cover pull requests' conversations.
fn allow_writing(call: &Call, reach: &Reach, level: Level) -> Result<(), ApiError> {
    match &call.caller {
        Caller::Installation { .. } => call
            .allow(reach, Level::Write, "issues", "repo")
            .or_else(|_| call.allow(reach, Level::Write, "pull_requests", "repo")),
        _ => call.allow(reach, level, "issues", "repo"),
    }
}

fn create(call: &Call, reach: &Reach, number: u64) -> Outcome {
    allow_writing(call, reach, Level::Read)?;
    let author = call.actor()?;
    let body = body_of(call)?;
    let id = {
        let mut change = call.site.change();
        pull_of(repository_of(&change, reach.id)?, number)?;
        let id = change.next_id();
        let now = At::now();
        let comment = Comment {
            id,
            number,
            author,
            body,
            created_at: now,
            updated_at: now,
            reactions: Vec::new(),
            app: call.caller.app(),
        };
        let repository = repository_mut(&mut change, reach.id)?;
        repository.comments.insert(id, comment);
        if let Some(pull) = repository.pulls.get_mut(&number) {
            pull.updated_at = now;
        }
        announce(&mut change, reach.id, id, "created", author, json!({}));
        id
    };
    show(call, reach, id, 201)
}

fn announce(change: &mut Change<'_>, repository: u64, id: u64, action: &str, sender: u64, more: Value) {
    change.announce(repository, "issue_comment", Some(action), sender, |render: &Render<'_>| {
        let known = render.model.repositories.get(&repository);
        let found = known.and_then(|known| {
            let comment = known.comments.get(&id)?;
            Some(render.comment_event(known, known.pulls.get(&comment.number)?, comment))
        });
        let mut event = found.unwrap_or_default();
        event.extend(fields(more));
        event
    });
}

fn show(call: &Call, reach: &Reach, id: u64, status: u16) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let comment = repository.comments.get(&id).ok_or_else(ApiError::not_found)?;
    let body = look.render().comment(repository, comment);
    Ok(if status == 201 { Answer::created(body) } else { Answer::ok(body) })
}

fn own_or_writable(call: &Call, reach: &Reach, id: u64) -> Result<u64, ApiError> {
    let sender = call.actor()?;
    let author = repository_of(&call.site.look(), reach.id)?.comments.get(&id).ok_or_else(ApiError::not_found)?.author;
    if author != sender {
        allow_writing(call, reach, Level::Write)?;
    }
    Ok(sender)
}

fn edit(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let sender = own_or_writable(call, reach, id)?;
    let body = body_of(call)?;
    {
        let mut change = call.site.change();
        let comment = repository_mut(&mut change, reach.id)?.comments.get_mut(&id).ok_or_else(ApiError::not_found)?;
        let before = std::mem::replace(&mut comment.body, body);
        comment.updated_at = At::now();
        announce(&mut change, reach.id, id, "edited", sender, json!({"changes": {"body": {"from": before}}}));
    }
    show(call, reach, id, 200)
}

fn delete(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let sender = own_or_writable(call, reach, id)?;
    let mut change = call.site.change();
    announce(&mut change, reach.id, id, "deleted", sender, json!({}));
    repository_mut(&mut change, reach.id)?.comments.remove(&id);
    Ok(Answer::no_content())
}

fn react(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let user = call.actor()?;
    let content = call.required("Reaction", "content")?;
    if !REACTIONS.contains(&content) {
        return Err(ApiError::invalid("Reaction", "content", "invalid", None));
    }
    let mut change = call.site.change();
    let next = change.next_id();
    let comment = repository_mut(&mut change, reach.id)?.comments.get_mut(&id).ok_or_else(ApiError::not_found)?;
    let known = comment.reactions.iter().find(|reaction| reaction.user == user && reaction.content == content).cloned();
    let (status, reaction) = match known {
        Some(known) => (200, known),
        None => {
            let reaction = Reaction { id: next, user, content: content.to_owned(), created_at: At::now() };
            comment.reactions.push(reaction.clone());
            (201, reaction)
        }
    };
    Ok(Answer::json(status, change.render().reaction(&reaction)))
}

fn reactions(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let look = call.site.look();
    let comment = repository_of(&look, reach.id)?.comments.get(&id).ok_or_else(ApiError::not_found)?;
    let render = look.render();
    Ok(call.list(comment.reactions.iter().collect(), |reaction| render.reaction(reaction)))
}

fn list_issues(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let state = call.parameter("state").unwrap_or("open");
    let wanted = |pull: &&Pull| state == "all" || (state == "open") == pull.is_open();
    let render = look.render();
    Ok(call.list(repository.pulls.values().rev().filter(wanted).collect(), |pull| render.issue(repository, pull)))
}

fn issue(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::ok(look.render().issue(repository, pull_of(repository, number)?)))
}

fn labels_of(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "issues", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let pull = pull_of(repository, number)?;
    let render = look.render();
    Ok(call.list(pull.labels.iter().collect(), |label| render.label(repository, label)))
}

/// Reads the names of labels, which come as texts or objects, alone or below `labels`.
fn names_in(body: &Value) -> Vec<String> {
    let list = body.as_array().or_else(|| body["labels"].as_array());
    let name = |value: &Value| value.as_str().or_else(|| value["name"].as_str()).map(str::to_owned);
    list.map(|list| list.iter().filter_map(name).collect()).unwrap_or_default()
}

fn add_labels(call: &Call, method: &str, reach: &Reach, number: u64) -> Outcome {
    allow_writing(call, reach, Level::Write)?;
    let sender = call.actor()?;
    let names = names_in(&call.body);
    if method == PUT {
        remove_labels(call, reach, number, None)?;
    }
    {
        let mut change = call.site.change();
        for name in names {
            let id = change.next_id();
            let repository = repository_mut(&mut change, reach.id)?;
            let label = repository.label(id, &name);
            let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
            if pull.labels.contains(&label) {
                continue;
            }
            pull.labels.push(label.clone());
            announce_label(&mut change, reach.id, number, "labeled", &label, sender)?;
        }
    }
    labels_of(call, reach, number)
}

fn announce_label(
    change: &mut Change<'_>,
    repository: u64,
    number: u64,
    action: &str,
    label: &Label,
    sender: u64,
) -> Result<(), ApiError> {
    let shown = change.render().label(repository_of(change, repository)?, label);
    announce_pull(change, repository, number, action, sender, json!({"label": shown}));
    Ok(())
}

fn remove_labels(call: &Call, reach: &Reach, number: u64, name: Option<&str>) -> Outcome {
    allow_writing(call, reach, Level::Write)?;
    let sender = call.actor()?;
    {
        let mut change = call.site.change();
        let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let is_meant = |label: &Label| name.is_none_or(|name| label.name.eq_ignore_ascii_case(name));
        let (removed, kept): (Vec<Label>, Vec<Label>) = pull.labels.drain(..).partition(is_meant);
        pull.labels = kept;
        if removed.is_empty() && name.is_some() {
            return Err(ApiError::new(404, "Label does not exist".to_owned()));
        }
        for label in &removed {
            announce_label(&mut change, reach.id, number, "unlabeled", label, sender)?;
        }
    }
    if name.is_none() { Ok(Answer::no_content()) } else { labels_of(call, reach, number) }
}

fn labels(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(repository.labels.iter().collect(), |label| render.label(repository, label)))
}

fn label(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let label =
        repository.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name)).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().label(repository, label)))
}

fn create_label(call: &Call, reach: &Reach) -> Outcome {
    allow_writing(call, reach, Level::Write)?;
    let name = call.required("Label", "name")?;
    let mut change = call.site.change();
    let id = change.next_id();
    let repository = repository_mut(&mut change, reach.id)?;
    if repository.labels.iter().any(|label| label.name.eq_ignore_ascii_case(name)) {
        return Err(ApiError::invalid("Label", "name", "already_exists", None));
    }
    let color = call.text("color").unwrap_or("ededed").trim_start_matches('#').to_owned();
    let label = Label { id, name: name.to_owned(), color, description: call.text("description").map(str::to_owned) };
    repository.labels.push(label.clone());
    let body = change.render().label(repository_of(&change, reach.id)?, &label);
    Ok(Answer::created(body))
}
