//! Deployments made by hand: what was asked for, what is carried out, and where.

use greenlight_core::deployment::{Carrying, DeployWish, Deployment, Environment, Lock, WishState};
use greenlight_core::event::{DeploymentMaker, DeploymentSnapshot, DeploymentState};
use greenlight_core::id::{DeploymentId, EnvironmentName, PullNumber, RunNumber, Token};
use greenlight_core::shown::{Link, ShownDeployment};

use super::{at, event, sha, user};

pub fn deployment_snapshot(id: u64, state: Option<DeploymentState>) -> DeploymentSnapshot {
    DeploymentSnapshot {
        id: DeploymentId(id),
        sha: sha(1),
        git_ref: "main".into(),
        task: "deploy".into(),
        environment: EnvironmentName::from("staging"),
        payload: "{\"greenlight\":\"key\"}".into(),
        key: (id.is_multiple_of(2)).then(|| "deploy/staging".into()),
        creator: user(2),
        maker: if id.is_multiple_of(3) { DeploymentMaker::Actions } else { DeploymentMaker::Anyone },
        state,
    }
}

pub const DEPLOYMENT_STATES: [DeploymentState; 7] = [
    DeploymentState::Pending,
    DeploymentState::Queued,
    DeploymentState::InProgress,
    DeploymentState::Success,
    DeploymentState::Failure,
    DeploymentState::Error,
    DeploymentState::Inactive,
];

pub fn deployments() -> Vec<Deployment> {
    let carrying = [
        Carrying::Watched { reason: "it was made by Actions".into() },
        Carrying::Waiting,
        Carrying::Started { token: Token(4), run: None },
        Carrying::Started { token: Token(4), run: Some(RunNumber(1)) },
        Carrying::Done,
    ];
    let parts = DEPLOYMENT_STATES.into_iter().zip(carrying.into_iter().cycle()).zip(1..);
    parts
        .map(|((state, carrying), id)| {
            let shown = ShownDeployment {
                state,
                description: "it is live".into(),
                log: Some(Link::Run(RunNumber(1))),
                environment_url: (id > 4).then(|| "https://example.com".into()),
            };
            Deployment {
                snapshot: deployment_snapshot(id, (id > 1).then_some(state)),
                event: (id > 3).then(|| event(None)),
                seen_at: at(2),
                state: carrying,
                wanted: (id > 2).then(|| shown.clone()),
                accepted: (id > 3).then_some(shown),
                given_up: (id > 5).then(|| "gone".into()),
            }
        })
        .collect()
}

pub fn wish(environment: &str, digit: u8, state: WishState) -> DeployWish {
    DeployWish {
        environment: EnvironmentName::from(environment),
        sha: sha(digit),
        pull: PullNumber(3),
        tree: (digit > 1).then_some(sha(9)),
        since: at(1),
        state,
    }
}

pub fn wishes() -> Vec<DeployWish> {
    vec![
        wish("staging", 1, WishState::Waiting { reason: "not proven".into() }),
        wish("staging", 2, WishState::Creating { not_before: at(3) }),
        wish("staging", 3, WishState::Created(DeploymentId(1))),
        wish("production", 1, WishState::Refused { reason: "gone".into() }),
    ]
}

pub fn environments() -> Vec<Environment> {
    let lock = |kept: Option<&str>| Lock {
        deployment: DeploymentId(1),
        token: Token(9),
        since: at(3),
        kept: kept.map(Into::into),
    };
    vec![
        Environment { name: EnvironmentName::from("staging"), lock: Some(lock(None)), live: None },
        Environment {
            name: EnvironmentName::from("production"),
            lock: Some(lock(Some("outcome unknown"))),
            live: Some((DeploymentId(2), sha(4))),
        },
        Environment { name: EnvironmentName::from("review/a b"), lock: None, live: None },
    ]
}
