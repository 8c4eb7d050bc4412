//! A sieve before the search for secrets: nearly all text holds none, and to know that, little of it need be looked at.
//!
//! After Wu and Manber. A window as long as the shortest form moves over the text; its last three bytes tell how far it may move
//! without passing over a form: by nearly its whole length where no form has these three bytes anywhere near. Only where they end the
//! beginning of a form is the window compared. A text that passes holds no form; one that does not is searched in earnest.

use std::collections::HashMap;

/// How long the shortest form must be: shorter ones leave the window no room to move.
pub(super) const WINDOW_MIN: usize = 8;

/// How long the window is at most: a longer one knows more sequences of three bytes, and moves little further.
const WINDOW_MAX: usize = 40;

/// How many bytes are looked at where the window ends.
const GRAM: usize = 3;

/// How large the table is, as a power of two.
const TABLE_BITS: u32 = 16;

/// How many sequences the forms may have together: a fuller table lets the window move too little.
const GRAMS_MAX: usize = 1 << 15;

/// How many beginnings are compared for one sequence; where there are more, the search is as quick.
const HEADS_MAX: usize = 8;

/// What a text passes that holds none of the forms.
pub(super) struct Sieve {
    window: usize,
    /// How far the window may move, by what it ends with.
    shifts: Vec<u8>,
    /// The beginnings of forms, as long as the window, by what they end with.
    heads: HashMap<usize, Vec<Box<[u8]>>>,
}

impl Sieve {
    /// Returns a sieve for these forms; nothing where one is too short, or where they are too many.
    pub(super) fn new(forms: &[&[u8]]) -> Option<Self> {
        let shortest = forms.iter().map(|form| form.len()).min()?;
        let window = shortest.min(WINDOW_MAX);
        if window < WINDOW_MIN || forms.len() * (window - GRAM + 1) > GRAMS_MAX {
            return None;
        }
        let furthest = u8::try_from(window - GRAM + 1).expect("a window is short");
        let mut sieve = Self { window, shifts: vec![furthest; 1 << TABLE_BITS], heads: HashMap::new() };
        for form in forms {
            let head = &form[..window];
            for end in GRAM..=window {
                let shift = u8::try_from(window - end).expect("a window is short");
                let known = &mut sieve.shifts[place_of(head, end)];
                *known = (*known).min(shift);
            }
            let heads = sieve.heads.entry(place_of(head, window)).or_default();
            if !heads.iter().any(|known| **known == *head) {
                heads.push(head.into());
            }
        }
        Some(sieve)
    }

    /// May there be a form in this text? Where the answer is no, there is none.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        let mut end = self.window;
        while end <= text.len() {
            let place = place_of(text, end);
            match self.shifts[place] {
                0 if self.is_head(place, &text[end - self.window..end]) => return true,
                0 => end += 1,
                shift => end += usize::from(shift),
            }
        }
        false
    }

    fn is_head(&self, place: usize, window: &[u8]) -> bool {
        let heads = self.heads.get(&place);
        heads.is_some_and(|heads| heads.len() > HEADS_MAX || heads.iter().any(|head| **head == *window))
    }
}

/// Returns the place in the table of the bytes before `end`.
fn place_of(text: &[u8], end: usize) -> usize {
    let gram = u32::from(text[end - 3]) | u32::from(text[end - 2]) << 8 | u32::from(text[end - 1]) << 16;
    (gram.wrapping_mul(0x9E37_79B1) >> (u32::BITS - TABLE_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sieve(forms: &[&str]) -> Sieve {
        Sieve::new(&forms.iter().map(|form| form.as_bytes()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_form_is_never_passed_over_wherever_it_stands() {
        let forms = ["aaaaaaaaab", "abcabcabcabc", "ghs_0123456789abcdef", "xyxyxyxy"];
        let sieve = sieve(&forms);
        for form in forms {
            for before in 0..70 {
                for filler in ["a", "abc", "xy", "ghs_", "é", "\n", "0123456789abcde"] {
                    let text = format!("{}{form}", &filler.repeat(before));
                    assert!(sieve.may_hold(text.as_bytes()), "{text}");
                    assert!(sieve.may_hold(format!("{text}{filler}tail").as_bytes()), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_beginning_of_a_form_passes() {
        let sieve = sieve(&["ghs_0123456789abcdef", "D0123456789ABCDEF-01"]);
        for text in
            ["", "ghs_", "ghs_0123456789abcde", "0123456789abcdef", &"Compiling some-crate v1.2.3 ".repeat(1000)]
        {
            assert!(!sieve.may_hold(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn forms_that_are_short_or_too_many_have_none() {
        assert!(Sieve::new(&[]).is_none());
        assert!(Sieve::new(&[b"1234567", b"a long enough form"]).is_none());
        let many: Vec<String> = (0..5000).map(|number| format!("{number:040}")).collect();
        assert!(Sieve::new(&many.iter().map(|form| form.as_bytes()).collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn many_forms_with_one_end_cost_no_comparison_each() {
        let alike: Vec<String> = (0..100).map(|number| format!("{number:05}-the-same")).collect();
        let sieve = sieve(&alike.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(sieve.may_hold(b"xxxxxxxxx-the-same"), "it is left to the search");
    }
}
