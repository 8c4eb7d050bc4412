//! What the pages show.

use serde_json::Value;

use super::html::{escape, link, page, state, table};
use crate::{
    model::{
        At, HookTarget, Repository,
        commit_status::latest,
        pull::{Mergeability, Pull, PullState},
    },
    render::Render,
    site::{Look, Site},
};

/// How many lines of a list a page shows.
const LINES_MAX: usize = 50;

fn short(sha: &str) -> &str {
    &sha[..sha.len().min(7)]
}

/// The first page: all repositories.
pub fn home(look: &Look<'_>) -> String {
    let rows: Vec<Vec<String>> = look
        .repositories
        .values()
        .map(|repository| {
            let name = look.full_name(repository);
            let open = repository.pulls.values().filter(|pull| pull.is_open()).count();
            vec![
                link(&format!("/{name}"), &name),
                escape(repository.description.as_deref().unwrap_or_default()),
                format!("{open} open"),
                if repository.private { "private" } else { "public" }.to_owned(),
            ]
        })
        .collect();
    page(
        "Emulated GitHub",
        &table(&["Repository", "Description", "Pull requests", "Who sees it"], &rows, "There is no repository yet."),
    )
}

/// What the room was told.
pub fn room(site: &Site) -> String {
    let messages = site.feed.recent(crate::feed::Kind::Room, LINES_MAX);
    let text = |message: &Value, field: &str| escape(message[field].as_str().unwrap_or_default());
    let rows: Vec<Vec<String>> = messages
        .iter()
        .map(|message| {
            vec![
                At(message["at"].as_i64().unwrap_or(0)).iso(),
                text(message, "room"),
                text(message, "by"),
                text(message, "text"),
            ]
        })
        .collect();
    page("The room", &table(&["When", "Room", "By", "Said"], &rows, "Nobody has said anything yet."))
}

/// A repository.
pub fn repository(render: &Render<'_>, repository: &Repository) -> String {
    let name = render.model.full_name(repository);
    let pulls: Vec<Vec<String>> = repository
        .pulls
        .values()
        .rev()
        .take(LINES_MAX)
        .map(|pull| {
            let title = link(&format!("/{name}/pull/{}", pull.number), &format!("#{} {}", pull.number, pull.title));
            vec![
                title,
                escape(render.model.login(pull.author)),
                escape(&pull.head.branch),
                pull_state(pull).to_owned(),
                verdict(repository, &pull.head.sha),
            ]
        })
        .collect();
    let deployments: Vec<Vec<String>> = repository
        .deployments
        .values()
        .rev()
        .take(LINES_MAX)
        .map(|deployment| {
            let newest = deployment.statuses.last();
            let log = newest.map_or(String::new(), |status| {
                if status.log_url.is_empty() { String::new() } else { link(&status.log_url, "log") }
            });
            let place = newest.map_or(String::new(), |status| {
                if status.environment_url.is_empty() {
                    String::new()
                } else {
                    link(&status.environment_url, &status.environment_url)
                }
            });
            vec![
                escape(&deployment.environment),
                state(deployment.state()),
                link(&format!("/{name}/commit/{}", deployment.sha), short(&deployment.sha)),
                place,
                log,
                deployment.updated_at.iso(),
            ]
        })
        .collect();
    let branches: Vec<Vec<String>> = repository
        .branches()
        .take(LINES_MAX)
        .map(|(branch, tip)| {
            vec![escape(branch), link(&format!("/{name}/commit/{tip}"), short(tip)), verdict(repository, tip)]
        })
        .collect();
    let clone = render.web_of(repository, ".git");
    let body = format!(
        "<p>{}</p><p>Clone it: <code>git clone {}</code></p>{}<h2>Pull requests</h2>{}<h2>Deployments</h2>{}<h2>Branches</h2>{}<h2>Hooks</h2>{}",
        escape(repository.description.as_deref().unwrap_or_default()),
        escape(&clone),
        change_form(render, repository, &name),
        table(&["Title", "By", "Branch", "State", "Statuses"], &pulls, "There is no pull request yet."),
        table(&["Environment", "State", "Commit", "Where", "Log", "When"], &deployments, "Nothing was deployed yet."),
        table(&["Branch", "Tip", "Statuses"], &branches, "There is no branch yet."),
        hooks(render, repository),
    );
    page(&name, &body)
}

fn hooks(render: &Render<'_>, repository: &Repository) -> String {
    let mut rows = Vec::new();
    for hook in render.model.hooks.values().filter(|hook| hook.target == HookTarget::Repository(repository.id)) {
        rows.push(vec![escape(&hook.config.url), escape(&hook.events.join(", ")), String::new(), String::new()]);
        for delivery in render.site.webhooks.log.of_hook(hook.id).iter().take(LINES_MAX / 2) {
            let action = delivery.action.as_deref().map(|action| format!(".{action}")).unwrap_or_default();
            let word = if delivery.status == "OK" { "success" } else { "failure" };
            let status = format!("<span class=\"{word}\">{} {}</span>", delivery.status_code, escape(&delivery.status));
            rows.push(vec![
                format!("<code>{}</code>", escape(&delivery.guid)),
                escape(&format!("{}{action}", delivery.event)),
                status,
                delivery.delivered_at.iso(),
            ]);
        }
    }
    table(&["Hook or delivery", "Event", "Answer", "When"], &rows, "There is no hook yet.")
}

/// A pull request.
pub fn pull(render: &Render<'_>, repository: &Repository, pull: &Pull) -> String {
    let name = render.model.full_name(repository);
    let comments: String = repository
        .comments
        .values()
        .filter(|comment| comment.number == pull.number)
        .map(|comment| {
            format!(
                "<p><b>{}</b> {}</p><pre>{}</pre>",
                escape(render.model.login(comment.author)),
                comment.created_at.iso(),
                escape(&comment.body)
            )
        })
        .collect();
    let reviews: Vec<Vec<String>> = pull
        .reviews
        .iter()
        .map(|review| {
            vec![
                escape(render.model.login(review.author)),
                review.state.name().to_owned(),
                escape(short(&review.commit)),
                escape(&review.body),
            ]
        })
        .collect();
    let mergeable = match (&pull.state, &pull.mergeability) {
        (PullState::Merged { sha, .. }, _) => {
            format!("merged as {}", link(&format!("/{name}/commit/{sha}"), short(sha)))
        }
        (PullState::Closed { .. }, _) => "closed".to_owned(),
        (_, Mergeability::Unknown) => "not known yet whether it can be merged".to_owned(),
        (_, Mergeability::Conflict { .. }) => "conflicts with its base".to_owned(),
        (_, Mergeability::Clean { .. }) => format!("can be merged ({})", render.mergeable_state(repository, pull)),
    };
    let comments = if comments.is_empty() { "<p>Nobody has said anything yet.</p>".to_owned() } else { comments };
    let said = pull.body.as_deref().filter(|body| !body.trim().is_empty());
    let said = said.map(|body| format!("<pre>{}</pre>", escape(body))).unwrap_or_default();
    let forms = if pull.is_open() { conversation_forms(render, &name, pull) } else { String::new() };
    let body = format!(
        "<p>{} wants to merge <code>{}</code> at {} into <code>{}</code>; {mergeable}.</p>{said}<h2>Statuses and checks</h2>{}<h2>Reviews</h2>{}<h2>Conversation</h2>{comments}{forms}",
        escape(render.model.login(pull.author)),
        escape(&pull.head.branch),
        link(&format!("/{name}/commit/{}", pull.head.sha), short(&pull.head.sha)),
        escape(&pull.base.branch),
        contexts(repository, &pull.head.sha),
        table(&["By", "Verdict", "Commit", "Said"], &reviews, "Nobody has reviewed it yet."),
    );
    page(&format!("{name} #{}: {}", pull.number, pull.title), &body)
}

/// A commit.
pub fn commit(render: &Render<'_>, repository: &Repository, sha: &str) -> Option<String> {
    let commit = render.site.git.commit(repository.id, sha).ok()?;
    let name = render.model.full_name(repository);
    let parents: Vec<String> =
        commit.parents.iter().map(|parent| link(&format!("/{name}/commit/{parent}"), short(parent))).collect();
    let body = format!(
        "<p>{} in {}, after {}</p><pre>{}</pre><h2>Statuses and checks</h2>{}",
        escape(&commit.author.name),
        link(&format!("/{name}"), &name),
        if parents.is_empty() { "nothing".to_owned() } else { parents.join(" and ") },
        escape(&commit.message),
        contexts(repository, &commit.oid),
    );
    Some(page(&format!("Commit {}", short(&commit.oid)), &body))
}

fn pull_state(pull: &Pull) -> &'static str {
    match pull.state {
        PullState::Merged { .. } => "merged",
        PullState::Closed { .. } => "closed",
        PullState::Open if pull.draft => "draft",
        PullState::Open => "open",
    }
}

/// Returns the newest state of each context in one cell.
fn verdict(repository: &Repository, sha: &str) -> String {
    let statuses = repository.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
    let by_status = latest(statuses, At::now())
        .into_iter()
        .map(|status| format!("{} {}", state(&status.state), escape(&status.context)));
    let by_run = repository
        .latest_check_runs(sha)
        .into_iter()
        .map(|run| format!("{} {}", state(run.conclusion.as_deref().unwrap_or(&run.status)), escape(&run.name)));
    by_status.chain(by_run).collect::<Vec<_>>().join("<br>")
}

fn contexts(repository: &Repository, sha: &str) -> String {
    let statuses = repository.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
    let target = |url: Option<&str>, text: &str| url.map_or_else(|| escape(text), |url| link(url, text));
    let mut rows: Vec<Vec<String>> = latest(statuses, At::now())
        .into_iter()
        .map(|status| {
            vec![
                target(status.target_url.as_deref(), &status.context),
                state(&status.state),
                escape(status.description.as_deref().unwrap_or_default()),
                status.created_at.iso(),
            ]
        })
        .collect();
    for run in repository.latest_check_runs(sha) {
        let word = run.conclusion.as_deref().unwrap_or(&run.status);
        rows.push(vec![
            target(run.details_url.as_deref(), &run.name),
            state(word),
            escape(run.title.as_deref().unwrap_or_default()),
            run.completed_at.clone().unwrap_or_default(),
        ]);
    }
    table(&["Context", "State", "Description", "When"], &rows, "Nothing was reported yet.")
}

/// Returns the choice of who acts.
fn actor(render: &Render<'_>) -> String {
    let people = render.model.accounts.values().filter(|account| account.kind == crate::model::AccountKind::User);
    let options: String = people.map(|account| format!("<option>{}</option>", escape(&account.login))).collect();
    format!("<label>As <select name=\"as\">{options}</select></label>")
}

fn change_form(render: &Render<'_>, repository: &Repository, name: &str) -> String {
    let taken: Vec<String> = repository.branches().map(|(branch, _)| branch.to_string()).collect();
    let free = (1..).map(|count| format!("my-change-{count}")).find(|name| !taken.contains(name)).unwrap_or_default();
    format!(
        "<details><summary>Open a pull request</summary><form method=\"post\" action=\"/{0}/change\">{1}\
         <label>File <input name=\"path\" required value=\"README.md\"></label><label>Its new content <textarea name=\"content\" rows=\"6\"></textarea></label>\
         <label>New branch <input name=\"branch\" required value=\"{free}\"></label><label>Title <input name=\"title\" required value=\"My change\"></label>\
         <button>Commit and open</button></form></details>",
        escape(name),
        actor(render)
    )
}

fn conversation_forms(render: &Render<'_>, name: &str, pull: &Pull) -> String {
    let action = format!("/{}/pull/{}", escape(name), pull.number);
    let who = actor(render);
    format!(
        "<form method=\"post\" action=\"{action}/comment\">{who}<label>Comment <textarea name=\"body\" rows=\"3\" required></textarea></label><button>Comment</button></form>\
         <form method=\"post\" action=\"{action}/push\">{who}<label>File <input name=\"path\" required></label><label>Its new content <textarea name=\"content\" rows=\"4\"></textarea></label><button>Push to this branch</button></form>\
         <form method=\"post\" action=\"{action}/review\">{who}<button name=\"event\" value=\"APPROVE\">Approve</button></form>\
         <form method=\"post\" action=\"{action}/merge\">{who}<label>Method <select name=\"merge_method\"><option>merge</option><option>squash</option><option>rebase</option></select></label><button>Merge</button></form>"
    )
}
