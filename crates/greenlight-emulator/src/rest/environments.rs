//! Environments.

use super::{Answer, ApiError, Call, DELETE, GET, Level, Outcome, PUT, Reach, repository_mut, repository_of};
use crate::model::{At, deployment::Environment};

/// Answers what is below `/environments`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    let level = if method == GET { Level::Read } else { Level::Admin };
    call.allow(reach, level, if method == GET { "actions" } else { "administration" }, "repo")?;
    match (method, rest) {
        (GET, ["environments"]) => list(call, reach),
        (GET, ["environments", name]) => get(call, reach, name),
        (PUT, ["environments", name]) => put(call, reach, name),
        (DELETE, ["environments", name]) => delete(call, reach, name),
        _ => Err(ApiError::not_found()),
    }
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.counted_list("environments", repository.environments.values().collect(), |environment| {
        render.environment(repository, environment)
    }))
}

fn get(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let environment = repository.environments.get(name).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().environment(repository, environment)))
}

fn put(call: &Call, reach: &Reach, name: &str) -> Outcome {
    {
        let mut change = call.site.change();
        let (id, now) = (change.next_id(), At::now());
        let environments = &mut repository_mut(&mut change, reach.id)?.environments;
        let environment = environments.entry(name.to_owned()).or_insert(Environment {
            id,
            name: name.to_owned(),
            created_at: now,
            updated_at: now,
            wait_timer: 0,
        });
        environment.updated_at = now;
        environment.wait_timer = call.body["wait_timer"].as_u64().unwrap_or(environment.wait_timer);
    }
    get(call, reach, name)
}

fn delete(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let mut change = call.site.change();
    repository_mut(&mut change, reach.id)?.environments.remove(name).ok_or_else(ApiError::not_found)?;
    Ok(Answer::no_content())
}
