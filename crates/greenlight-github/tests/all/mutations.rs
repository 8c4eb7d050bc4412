//! Broken payloads: whatever is done to them, reading ends, and ends with a sentence.

use greenlight_github::payload::{Reading, read};
use serde_json::{Value, json};

use super::payloads::{json_delivery, payloads};

/// A stream of numbers from a seed: the same seed gives the same mutations.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

fn goes_through(event: &str, text: &str) {
    if let Reading::Unreadable { reason } | Reading::Ignored { reason } = read(&json_delivery(event, text)) {
        assert!(!reason.is_empty() && reason.chars().count() < 300, "{event}: {reason}");
    }
}

/// Walks down at random, and gives the place that it came to.
fn somewhere<'a>(place: &'a mut Value, numbers: &mut Numbers) -> &'a mut Value {
    let children = match &*place {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if children == 0 || numbers.next(4) == 0 {
        return place;
    }
    let index = numbers.next(children);
    let child = match place {
        Value::Object(fields) => fields.values_mut().nth(index),
        Value::Array(items) => items.get_mut(index),
        _ => None,
    };
    somewhere(child.expect("it was counted"), numbers)
}

fn mutate(value: &mut Value, numbers: &mut Numbers) {
    let place = somewhere(value, numbers);
    *place = match numbers.next(9) {
        0 => Value::Null,
        1 => json!(u64::MAX),
        2 => json!(-1.5e300),
        3 => json!("\u{0}\u{202e}é".repeat(50)),
        4 => json!([[[place.clone()]]]),
        5 => json!({ "id": {}, "ref": 7, "sha": [] }),
        6 => json!(true),
        7 => json!(""),
        _ => match place.take() {
            Value::Object(mut fields) if !fields.is_empty() => {
                let name = fields.keys().nth(numbers.next(fields.len())).unwrap().clone();
                fields.shift_remove(&name);
                Value::Object(fields)
            }
            other => json!({ "was": other }),
        },
    };
}

#[test]
fn fields_that_are_dropped_or_of_another_type() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (event, payload) in payloads() {
        for _ in 0..8 {
            let mut payload = payload.clone();
            for _ in 0..=numbers.next(3) {
                mutate(&mut payload, &mut numbers);
            }
            goes_through(&event, &payload.to_string());
        }
    }
}

#[test]
fn every_field_of_a_pull_request_dropped_by_itself() {
    let all = payloads();
    let (_, whole) =
        all.iter().find(|(event, payload)| event == "pull_request" && payload["action"] == "opened").unwrap();
    for name in whole["pull_request"].as_object().unwrap().keys() {
        let mut payload = whole.clone();
        payload["pull_request"].as_object_mut().unwrap().shift_remove(name);
        let needed = ["number", "state", "head", "base", "updated_at"].contains(&name.as_str());
        let reading = read(&json_delivery("pull_request", payload.to_string()));
        assert_eq!(matches!(reading, Reading::Unreadable { .. }), needed, "{name}");
    }
}

#[test]
fn bytes_that_are_cut_doubled_or_changed() {
    let mut numbers = Numbers(42);
    for (event, payload) in payloads().into_iter().step_by(3) {
        let mut bytes = payload.to_string().into_bytes();
        let at = numbers.next(bytes.len());
        match numbers.next(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] = u8::try_from(numbers.next(256)).unwrap(),
            _ => bytes.extend_from_within(at..),
        }
        let _ = read(&json_delivery(&event, bytes));
    }
}

#[test]
fn depth_numbers_and_doubles_are_bounded() {
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let Reading::Unreadable { reason } = read(&json_delivery("push", &deep)) else { panic!("it is too deep") };
    assert_eq!(&*reason, "the payload is nested deeper than 100");
    let in_a_string = format!("{{\"a\": \"\\\"{}\"}}", "[".repeat(200_000));
    let Reading::Unreadable { reason } = read(&json_delivery("push", &in_a_string)) else { panic!("it has no ref") };
    assert!(reason.contains("missing field `ref`"), "{reason}");
    for event in ["push", "pull_request", "deployment", "issues", "status", "check_run", "create", "an_event"] {
        goes_through(event, r#"{"ref": "a", "ref": "b", "repository": {"id": 1, "id": 2}}"#);
        goes_through(event, r#"{"number": 1e99999, "repository": {"id": 99999999999999999999999999}}"#);
        goes_through(event, &format!("{{\"ref\": {}}}", "9".repeat(100_000)));
        goes_through(
            event,
            &format!("{{\"ref\": {{}}, \"pull_request\": \"{0}\", \"deployment\": \"{0}\"}}", "long".repeat(1000)),
        );
        goes_through(event, "[]");
        goes_through(event, "{}");
        goes_through(event, "");
    }
}
