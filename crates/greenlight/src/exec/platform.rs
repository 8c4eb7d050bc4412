//! Where a job may run on this machine: what its `runs-on` asks for, held against what was said with `-P`.

use std::sync::Arc;

use super::WrongUsage;

/// What begins the name of a machine that this one is not.
const FOREIGN: [&str; 2] = ["windows", "macos"];

/// What a label stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// This machine itself.
    Host,
    /// A container of this image.
    Image(Arc<str>),
}

/// What labels stand for.
#[derive(Clone, Debug, Default)]
pub struct Platforms(Vec<(String, Platform)>);

impl Platforms {
    /// Reads `LABEL=IMAGE`, `LABEL=host` and act's `LABEL=-self-hosted`.
    pub fn parse(given: &[String]) -> anyhow::Result<Self> {
        let mut platforms = Vec::new();
        for one in given {
            let Some((label, what)) = one.split_once('=').filter(|(label, what)| !label.is_empty() && !what.is_empty())
            else {
                let why = format!("-P {one}: it should be LABEL=IMAGE, or LABEL=host for this machine itself");
                return Err(WrongUsage(why).into());
            };
            let platform = match what {
                "host" | "-self-hosted" => Platform::Host,
                image => Platform::Image(image.into()),
            };
            platforms.push((label.to_lowercase(), platform));
        }
        Ok(Self(platforms))
    }

    /// Returns where a job with these labels runs; nothing where it asks for a machine that this one is not.
    pub fn of(&self, labels: &[Arc<str>]) -> Option<Platform> {
        let said = labels.iter().find_map(|label| self.0.iter().rev().find(|(known, _)| **known == **label));
        if let Some((_, platform)) = said {
            return Some(platform.clone());
        }
        let is_foreign = labels.iter().any(|label| FOREIGN.iter().any(|name| label.starts_with(name)));
        (!is_foreign).then_some(Platform::Host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lead_to_a_machine() {
        let platforms =
            Platforms::parse(&["Ubuntu-22.04=node:20".into(), "windows-latest=host".into(), "x=-self-hosted".into()])
                .unwrap();
        let of = |label: &str| platforms.of(&[label.into()]);
        assert_eq!(of("ubuntu-latest"), Some(Platform::Host));
        assert_eq!(of("ubuntu-22.04"), Some(Platform::Image("node:20".into())));
        assert_eq!(of("windows-latest"), Some(Platform::Host));
        assert_eq!(of("macos-14"), None);
        assert!(Platforms::parse(&["ubuntu-latest".into()]).is_err());
    }
}
