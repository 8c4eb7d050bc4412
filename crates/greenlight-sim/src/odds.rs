//! How bad this life is: every seed has its own weather, so that some are all calm and some have one kind of trouble only.

use crate::rng::Rng;

/// How often what goes wrong, in parts of a thousand.
#[derive(Clone, Debug)]
pub struct Odds {
    /// A webhook is lost.
    pub hook_lost: u32,
    /// A webhook comes more than once.
    pub hook_repeated: u32,
    /// A webhook comes hours late.
    pub hook_late: u32,
    /// A webhook's id comes again with another body.
    pub hook_forged: u32,
    /// A call goes wrong.
    pub call: u32,
    /// A read is old.
    pub stale: u32,
    /// The server crashes within a step.
    pub crash: u32,
    /// The store fails within a step.
    pub store: u32,
    /// A runner is lost with its job.
    pub runner: u32,
    /// The writes that GitHub takes are limited.
    pub limited: bool,
    /// We are an App.
    pub app: bool,
}

impl Odds {
    /// Chooses a life's weather.
    pub fn new(rng: &mut Rng) -> Self {
        let calm = rng.chance(100);
        let mut choose = |from: &[u32]| if calm { 0 } else { *rng.pick(from).expect("there are some") };
        Self {
            hook_lost: choose(&[0, 0, 20, 100, 400, 1000]),
            hook_repeated: choose(&[0, 50, 300]),
            hook_late: choose(&[0, 10, 60]),
            hook_forged: choose(&[0, 5]),
            call: choose(&[0, 20, 60, 150]),
            stale: choose(&[0, 20, 200]),
            crash: choose(&[0, 1, 4]),
            store: choose(&[0, 1, 3]),
            runner: choose(&[0, 20, 80]),
            limited: rng.chance(200),
            app: rng.chance(500),
        }
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        *self = Self {
            hook_lost: 0,
            hook_repeated: 0,
            hook_late: 0,
            hook_forged: 0,
            call: 0,
            stale: 0,
            crash: 0,
            store: 0,
            runner: 0,
            ..self.clone()
        };
    }
}
