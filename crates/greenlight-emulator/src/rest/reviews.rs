//! Reviews, and who was asked for one.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, DELETE, GET, Level, Outcome, POST, PUT, Reach, number, pulls::pull_of, repository_mut,
    repository_of,
};
use crate::{
    model::{
        At,
        pull::{Review, ReviewState},
    },
    push::{announce_pull, announce_review},
};

/// Answers what is below `/pulls/{number}/reviews` and `/requested_reviewers`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, ["pulls", id, "reviews"]) => list(call, reach, number(id)?),
        (POST, ["pulls", id, "reviews"]) => create(call, reach, number(id)?),
        (GET, ["pulls", id, "reviews", review]) => get(call, reach, number(id)?, number(review)?),
        (PUT, ["pulls", id, "reviews", review, "dismissals"]) => dismiss(call, reach, number(id)?, number(review)?),
        (POST, ["pulls", id, "reviews", review, "events"]) => submit(call, reach, number(id)?, number(review)?),
        (GET, ["pulls", id, "reviews", _, "comments"]) => {
            pull_of(repository_of(&call.site.look(), reach.id)?, number(id)?)?;
            Ok(call.list(Vec::<()>::new(), |()| Value::Null))
        }
        (GET, ["pulls", id, "requested_reviewers"]) => requested(call, reach, number(id)?),
        (POST | DELETE, ["pulls", id, "requested_reviewers"]) => request(call, method, reach, number(id)?),
        _ => Err(ApiError::not_found()),
    }
}

fn list(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let pull = pull_of(repository, number)?;
    let render = look.render();
    let seen = |review: &&Review| review.state != ReviewState::Pending || Some(review.author) == call.caller.account();
    Ok(call.list(pull.reviews.iter().filter(seen).collect(), |review| render.review(repository, pull, review)))
}

fn get(call: &Call, reach: &Reach, number: u64, id: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    show(call, reach, number, id, 200)
}

fn show(call: &Call, reach: &Reach, number: u64, id: u64, status: u16) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let pull = pull_of(repository, number)?;
    let review = pull.reviews.iter().find(|review| review.id == id).ok_or_else(ApiError::not_found)?;
    Ok(Answer::json(status, look.render().review(repository, pull, review)))
}

fn state_of(event: &str) -> Option<ReviewState> {
    match event {
        "APPROVE" => Some(ReviewState::Approved),
        "REQUEST_CHANGES" => Some(ReviewState::ChangesRequested),
        "COMMENT" => Some(ReviewState::Commented),
        "" => Some(ReviewState::Pending),
        _ => None,
    }
}

fn create(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let author = call.actor()?;
    let state = state_of(call.text("event").unwrap_or_default())
        .ok_or_else(|| ApiError::new(422, "Unprocessable Entity".to_owned()))?;
    let body = call.text("body").unwrap_or_default().to_owned();
    let id = {
        let mut change = call.site.change();
        let id = change.next_id();
        let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        check(pull.author, author, state, &body)?;
        let commit = call.text("commit_id").unwrap_or(&pull.head.sha).to_owned();
        pull.reviews.push(Review { id, author, body, state, commit, submitted_at: At::now() });
        pull.requested_reviewers.retain(|asked| *asked != author);
        pull.updated_at = At::now();
        if state != ReviewState::Pending {
            announce_review(&mut change, reach.id, number, id, "submitted", author);
        }
        id
    };
    show(call, reach, number, id, 200)
}

/// Refuses what GitHub refuses: verdicts on one's own work, and changes asked for without words.
fn check(pull_author: u64, author: u64, state: ReviewState, body: &str) -> Result<(), ApiError> {
    let refused = |message: &str| {
        Err(ApiError {
            errors: Some(Box::new(json!([message]))),
            ..ApiError::new(422, "Unprocessable Entity".to_owned())
        })
    };
    match state {
        ReviewState::Approved if pull_author == author => refused("Can not approve your own pull request"),
        ReviewState::ChangesRequested if pull_author == author => {
            refused("Can not request changes on your own pull request")
        }
        ReviewState::ChangesRequested | ReviewState::Commented if body.is_empty() => {
            refused("You need to leave a comment indicating the requested changes.")
        }
        _ => Ok(()),
    }
}

fn submit(call: &Call, reach: &Reach, number: u64, id: u64) -> Outcome {
    let author = call.actor()?;
    let state = state_of(call.required("PullRequestReview", "event")?)
        .ok_or_else(|| ApiError::new(422, "Unprocessable Entity".to_owned()))?;
    {
        let mut change = call.site.change();
        let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let pull_author = pull.author;
        let review = pull
            .reviews
            .iter_mut()
            .find(|review| review.id == id && review.author == author)
            .ok_or_else(ApiError::not_found)?;
        let body = call.text("body").unwrap_or(&review.body).to_owned();
        check(pull_author, author, state, &body)?;
        review.state = state;
        review.body = body;
        review.submitted_at = At::now();
        announce_review(&mut change, reach.id, number, id, "submitted", author);
    }
    show(call, reach, number, id, 200)
}

fn dismiss(call: &Call, reach: &Reach, number: u64, id: u64) -> Outcome {
    call.allow(reach, Level::Write, "pull_requests", "repo")?;
    call.required("PullRequestReview", "message")?;
    let sender = call.actor()?;
    {
        let mut change = call.site.change();
        let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let review = pull.reviews.iter_mut().find(|review| review.id == id).ok_or_else(ApiError::not_found)?;
        if !matches!(review.state, ReviewState::Approved | ReviewState::ChangesRequested) {
            return Err(ApiError::new(422, "Can not dismiss a pending or commented pull request review".to_owned()));
        }
        review.state = ReviewState::Dismissed;
        announce_review(&mut change, reach.id, number, id, "dismissed", sender);
    }
    show(call, reach, number, id, 200)
}

fn requested(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let look = call.site.look();
    let pull = pull_of(repository_of(&look, reach.id)?, number)?;
    let render = look.render();
    let users: Vec<Value> = pull.requested_reviewers.iter().map(|user| render.user(*user)).collect();
    Ok(Answer::ok(json!({"users": users, "teams": []})))
}

fn request(call: &Call, method: &str, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Write, "pull_requests", "repo")?;
    let sender = call.actor()?;
    let mut change = call.site.change();
    let asked: Vec<&str> = call.body["reviewers"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for login in asked {
        let user = change
            .account(login)
            .ok_or_else(|| ApiError::new(422, "Reviews may only be requested from collaborators.".to_owned()))?
            .id;
        let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        if pull.author == user {
            return Err(ApiError::new(422, "Review cannot be requested from pull request author.".to_owned()));
        }
        pull.requested_reviewers.retain(|known| *known != user);
        if method == POST {
            pull.requested_reviewers.push(user);
        }
        let action = if method == POST { "review_requested" } else { "review_request_removed" };
        let reviewer = change.render().user(user);
        announce_pull(&mut change, reach.id, number, action, sender, json!({"requested_reviewer": reviewer}));
    }
    let repository = repository_of(&change, reach.id)?;
    let shown = change.render().simple_pull(repository, pull_of(repository, number)?);
    Ok(Answer::json(if method == POST { 201 } else { 200 }, shown))
}
