//! Text that must not be shown: tokens, webhook secrets.

use std::fmt;
use std::sync::Arc;

/// A secret. It has no `Display`, its `Debug` shows nothing, and it is told only to those who ask for it by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// An empty text was given as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty: put it into its file, or name the right file")]
pub struct EmptySecret;

impl Secret {
    /// Wraps `text`. A text of blanks only is nothing that could protect anything.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, EmptySecret> {
        let text = text.into();
        if text.trim().is_empty() { Err(EmptySecret) } else { Ok(Self(text)) }
    }

    /// Returns the text itself, for the one place that sends or computes with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let secret = Secret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_empty_secret_is_none() {
        assert_eq!(Secret::new(""), Err(EmptySecret));
        assert_eq!(Secret::new(" \n"), Err(EmptySecret));
    }
}
