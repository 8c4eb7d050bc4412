//! The proving ground: fakes, worlds, stories.
