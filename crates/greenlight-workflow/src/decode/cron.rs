//! The cron lines of a schedule: what is wrong with one, by field, and whether its day ever comes.

use crate::cron::{Cron, FIELDS, Field, UTC, fields};

/// Words that other programs take for a line, with the line.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Returns what to do about a text that is no cron line of five fields; None where it is one.
pub(super) fn problem(text: &str) -> Option<String> {
    if let Some((word, line)) = WORDS.iter().find(|(word, _)| text.trim().eq_ignore_ascii_case(word)) {
        return Some(format!("GitHub does not know '{word}'; write '{line}'"));
    }
    let fields = fields(text);
    if fields.len() != FIELDS.len() {
        let count = fields.len();
        return Some(format!("write five fields with blanks between them, as '30 5 * * 1-5'; here are {count}"));
    }
    let (written, field) = fields.iter().zip(&FIELDS).find(|(written, field)| field.numbers(written).is_none())?;
    let Field { name, min, max, names } = field;
    let names = match (names.first(), names.last()) {
        (Some(first), Some(last)) => format!(" or {first} to {last}"),
        _ => String::new(),
    };
    Some(format!(
        "the {name} '{written}' is not understood: write {min} to {max}{names}, '*', a range, a list with commas, or a step as '*/2'"
    ))
}

/// Says whether the days and months of a right line never come together, as the 31st of February.
pub(super) fn never_comes(text: &str) -> bool {
    Cron::parse(text, UTC).is_some_and(|cron| cron.never_comes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_is_wrong_is_named_with_its_range() {
        for (text, expected) in [
            ("61 * * * *", "the minute '61' is not understood: write 0 to 59,"),
            ("0 24 * * *", "the hour '24'"),
            ("0 0 * 13 *", "the month '13' is not understood: write 1 to 12 or JAN to DEC,"),
            ("0 0 * * MON-XYZ", "the day of the week 'MON-XYZ' is not understood: write 0 to 6 or SUN to SAT,"),
            ("0 0 30-1 * *", "the day of the month '30-1'"),
            ("@daily", "GitHub does not know '@daily'; write '0 0 * * *'"),
            ("5", "write five fields with blanks between them, as '30 5 * * 1-5'; here are 1"),
        ] {
            let told = problem(text).unwrap();
            assert!(told.starts_with(expected), "{text}: {told}");
        }
        for text in ["*/5 0-6,12 1,15 JAN-MAR 1-5", "0  0 * * sun", "30 5 31 2 *"] {
            assert_eq!(problem(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_that_no_month_has_never_comes() {
        for text in ["0 0 31 2 *", "0 0 30,31 FEB *", "0 0 31 4,6 *"] {
            assert!(never_comes(text), "{text}");
        }
        for text in ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 2,3 *", "0 0 31 2-3 *", "0 0 31 * *", "0 0 * 2 *"] {
            assert!(!never_comes(text), "{text}");
        }
    }
}
