//! The keys that a definition's mappings know, to be found without comparing each.

use super::{Mapping, Property};

/// How many places there are for each key; where two fall on the same one the second goes on to the next.
const PLACES_PER_KEY: usize = 2;

/// Which of some mappings have which keys.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    /// By the number of its name, one more than where a key is in `keys`; 0 where there is none. A power of two of them.
    places: Vec<u16>,
}

#[derive(Clone)]
struct Key {
    name: String,
    /// A bit for each mapping that has it.
    mappings: u32,
    /// Those mappings in order, with where among their properties it is.
    properties: Vec<(usize, usize)>,
}

impl Keys {
    /// Returns the keys of these mappings.
    pub fn of(mappings: &[Mapping]) -> Keys {
        let mut keys: Vec<Key> = Vec::new();
        for (at, mapping) in mappings.iter().enumerate() {
            for (place, property) in mapping.properties.iter().enumerate() {
                let known = keys.iter().position(|key| key.name == property.key).unwrap_or_else(|| {
                    keys.push(Key { name: property.key.clone(), mappings: 0, properties: Vec::new() });
                    keys.len() - 1
                });
                keys[known].mappings |= 1 << at;
                keys[known].properties.push((at, place));
            }
        }
        let mut places = vec![0; (keys.len() * PLACES_PER_KEY).next_power_of_two()];
        for (at, key) in keys.iter().enumerate() {
            let mut place = number(&key.name) & (places.len() - 1);
            while places[place] != 0 {
                place = (place + 1) & (places.len() - 1);
            }
            places[place] = at as u16 + 1;
        }
        Keys { keys, places }
    }

    /// Returns which of the mappings in `left`, a bit for each, have a key, and its property in the last of them.
    pub fn find<'a>(&self, name: &str, left: u32, mappings: &'a [Mapping]) -> Option<(u32, &'a Property)> {
        let key = self.key(name)?;
        let having = key.mappings & left;
        let (mapping, place) = key.properties.iter().rev().find(|(mapping, _)| having & (1 << mapping) != 0)?;
        Some((having, &mappings[*mapping].properties[*place]))
    }

    fn key(&self, name: &str) -> Option<&Key> {
        let mut place = number(name) & (self.places.len().checked_sub(1)?);
        loop {
            let key = &self.keys[usize::from(self.places[place]).checked_sub(1)?];
            if key.name == name {
                return Some(key);
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }
}

/// Returns a number that few names have in common.
fn number(name: &str) -> usize {
    let bytes = name.as_bytes();
    let letter = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
    bytes.len() + letter(0) * 5 + letter(bytes.len() / 2) * 17 + letter(bytes.len().wrapping_sub(1)) * 3
}
