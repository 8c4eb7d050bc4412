//! The cron lines of a schedule: what is wrong with one, by field, and whether its day ever comes.

/// A field: what it is called, its range, and the names that stand for its numbers.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of the month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &MONTHS },
    Field { name: "day of the week", min: 0, max: 6, names: &DAYS },
];
/// The most days that each month has.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

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
    let (written, field) = fields.iter().zip(&FIELDS).find(|(written, field)| !field.takes(written))?;
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
    let [_, _, days, months, "*"] = fields(text)[..] else { return false };
    let starts = |field: &Field, written: &str| -> Option<Vec<u32>> {
        written.split(',').map(|part| field.number(part.split(['-', '/']).next()?)).collect()
    };
    let (Some(days), false) = (starts(&FIELDS[2], days), months.contains(['-', '/'])) else { return false };
    let Some(months) = starts(&FIELDS[3], months) else { return false };
    let longest = months.iter().filter_map(|month| MONTH_DAYS.get(*month as usize - 1)).max().copied();
    longest.is_some_and(|longest| days.iter().all(|day| *day > longest))
}

fn fields(text: &str) -> Vec<&str> {
    text.split(' ').filter(|field| !field.is_empty()).collect()
}

impl Field {
    fn takes(&self, written: &str) -> bool {
        written.split(',').all(|part| self.takes_part(part))
    }

    fn takes_part(&self, part: &str) -> bool {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let is_step = |step: &str| step.parse::<u32>().is_ok_and(|step| step > 0 && step <= self.max.max(1));
        let range_is_right = match range.split_once('-') {
            Some((from, to)) => self.number(from).zip(self.number(to)).is_some_and(|(from, to)| from <= to),
            None => range == "*" || self.number(range).is_some(),
        };
        step.is_none_or(is_step) && range_is_right
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = named.map(|at| at as u32 + self.min).or_else(|| text.parse().ok());
        number.filter(|number| (self.min..=self.max).contains(number))
    }
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
