//! Shapes of ids, times, and of what holds other things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_core::id::{
    AttemptId, CommentId, Context, DeliveryId, DeploymentId, EffectKey, EnvironmentName, JobKey, PullNumber, RefName,
    RepoId, ReviewId, RoomName, RunNumber, RunnerId, Sha, Token, UserId,
};
use greenlight_core::time::{Duration, Timestamp};
use serde_json::Value as Json;

use super::{Encoder, FormatError, Stored, Texts, expected};

macro_rules! number {
    ($($type:ty),+) => {
        $(impl Stored for $type {
            fn write(&self, out: &mut Encoder) {
                out.raw(self);
            }

            fn read(node: &Json, _: &Texts) -> Result<Self, FormatError> {
                node.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(|| expected("a number", node))
            }
        })+
    };
}
number!(u32, u64);

macro_rules! number_id {
    ($($type:ident),+) => {
        $(impl Stored for $type {
            fn write(&self, out: &mut Encoder) {
                self.0.write(out);
            }

            fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
                u64::read(node, texts).map($type)
            }
        })+
    };
}
number_id!(RepoId, UserId, PullNumber, RunNumber, DeploymentId, CommentId, ReviewId, Token);

macro_rules! text_id {
    ($($type:ident),+) => {
        $(impl Stored for $type {
            fn write(&self, out: &mut Encoder) {
                out.string(self.as_str());
            }

            fn read(node: &Json, _: &Texts) -> Result<Self, FormatError> {
                node.as_str().map($type::from).ok_or_else(|| expected("a text", node))
            }
        })+
    };
}
text_id!(DeliveryId, RunnerId, JobKey, EffectKey, EnvironmentName, RefName, Context, RoomName);

record! { AttemptId { repo, run, run_attempt, job, tried } }

impl Stored for bool {
    fn write(&self, out: &mut Encoder) {
        out.raw(self);
    }

    fn read(node: &Json, _: &Texts) -> Result<Self, FormatError> {
        node.as_bool().ok_or_else(|| expected("true or false", node))
    }
}

impl Stored for Arc<str> {
    fn write(&self, out: &mut Encoder) {
        out.text(self);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        match node {
            Json::String(text) => Ok(text.as_str().into()),
            Json::Object(reference) => {
                referred(reference, texts).ok_or_else(|| expected("a text that is stored", node))
            }
            _ => Err(expected("a text", node)),
        }
    }
}

fn referred(reference: &serde_json::Map<String, Json>, texts: &Texts) -> Option<Arc<str>> {
    let mut digest = [0; 32];
    hex::decode_to_slice(reference.get("text")?.as_str()?, &mut digest).ok()?;
    texts.get(&digest).cloned()
}

impl Stored for Sha {
    fn write(&self, out: &mut Encoder) {
        out.raw(format_args!("\"{self}\""));
    }

    fn read(node: &Json, _: &Texts) -> Result<Self, FormatError> {
        node.as_str().and_then(|text| Self::parse(text).ok()).ok_or_else(|| expected("a SHA", node))
    }
}

impl Stored for Timestamp {
    fn write(&self, out: &mut Encoder) {
        out.raw(self.as_millis());
    }

    fn read(node: &Json, _: &Texts) -> Result<Self, FormatError> {
        node.as_i64().map(Self::from_millis).ok_or_else(|| expected("milliseconds", node))
    }
}

impl Stored for Duration {
    fn write(&self, out: &mut Encoder) {
        (self.as_secs(), self.subsec_nanos()).write(out);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        match <(u64, u32)>::read(node, texts)? {
            (seconds, nanos) if nanos < 1_000_000_000 => Ok(Self::new(seconds, nanos)),
            _ => Err(expected("seconds and nanoseconds", node)),
        }
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, out: &mut Encoder) {
        match self {
            None => out.raw("null"),
            Some(value) => value.write(out),
        }
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        if node.is_null() { Ok(None) } else { T::read(node, texts).map(Some) }
    }
}

impl<T: Stored> Stored for Arc<T> {
    fn write(&self, out: &mut Encoder) {
        T::write(self, out);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        T::read(node, texts).map(Self::new)
    }
}

fn items(node: &Json) -> Result<&Vec<Json>, FormatError> {
    node.as_array().ok_or_else(|| expected("a list", node))
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, out: &mut Encoder) {
        out.list(self);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        items(node)?.iter().map(|item| T::read(item, texts)).collect()
    }
}

impl Stored for Arc<[Arc<str>]> {
    fn write(&self, out: &mut Encoder) {
        out.list(self.iter());
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        items(node)?.iter().map(|item| <Arc<str>>::read(item, texts)).collect()
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    fn write(&self, out: &mut Encoder) {
        out.list(self);
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        items(node)?.iter().map(|item| T::read(item, texts)).collect()
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn write(&self, out: &mut Encoder) {
        out.raw('[');
        for (key, value) in self {
            out.separate('[');
            out.raw('[');
            key.write(out);
            out.raw(',');
            value.write(out);
            out.raw(']');
        }
        out.raw(']');
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        items(node)?.iter().map(|pair| <(K, V)>::read(pair, texts)).collect()
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn write(&self, out: &mut Encoder) {
        out.raw('[');
        self.0.write(out);
        out.raw(',');
        self.1.write(out);
        out.raw(']');
    }

    fn read(node: &Json, texts: &Texts) -> Result<Self, FormatError> {
        match items(node)?.as_slice() {
            [first, second] => Ok((A::read(first, texts)?, B::read(second, texts)?)),
            _ => Err(expected("a pair", node)),
        }
    }
}
