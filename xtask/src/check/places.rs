//! Nothing in the repository tells where it was made: no machine's path, no registry's host, nobody's address.

use super::Report;
use super::tree::Tree;

/// Starts of absolute paths that belong to one machine. Cut in two, so that this file does not break its own rule.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Paths with such a start that are the same everywhere: GitHub's own machines have them.
const PUBLIC_PATHS: &[&str] = &[concat!("/ho", "me/runner/"), concat!("/github", "/ho", "me/")];

/// Hosts of public registries. Packages are named by name and version; where they come from is each machine's setting.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("registry.", "npmjs.org"),
    concat!("pypi.", "org"),
    concat!("files.python", "hosted.org"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
    concat!("ruby", "gems.org"),
];

/// Settings of package managers that name the registry of the machine at hand.
const REGISTRY_SETTINGS: &[&str] = &[
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
    "PIP_INDEX_URL",
    "UV_INDEX_URL",
    "GOPROXY",
    "CARGO_REGISTRIES_CRATES_IO_INDEX",
];

/// Addresses that are nobody's: GitHub's, and names that are reserved for examples.
const NOBODYS_DOMAINS: &[&str] = &[
    "github.com",
    "users.noreply.github.com",
    "example.com",
    "example.org",
    "example.net",
    "example",
    "invalid",
    "test",
    "localhost",
];

/// No file names a path that exists on one machine only.
pub fn no_path_of_a_machine(tree: &Tree, report: &mut Report<'_>) {
    for file in &tree.files {
        for (offset, start) in MACHINE_PATHS.iter().flat_map(|start| file.text.match_indices(start)) {
            let is_inside_another = file.text[..offset].chars().next_back().is_some_and(is_path_character);
            let is_public = PUBLIC_PATHS.iter().any(|path| file.text[offset..].starts_with(path));
            if !is_inside_another && !is_public {
                report.add(
                    &file.path,
                    file.line_at(offset),
                    format!("name no path of a machine (`{start}`): use a relative one"),
                );
            }
        }
    }
}

/// No file names the host of a registry, be it a public one or the one of this machine.
pub fn no_host_of_a_registry(tree: &Tree, report: &mut Report<'_>) {
    let own = REGISTRY_SETTINGS.iter().filter_map(|name| std::env::var(name).ok()).filter_map(|url| host(&url));
    let hosts: Vec<String> = REGISTRY_HOSTS.iter().map(|host| (*host).to_owned()).chain(own).collect();
    report_hosts(tree, &hosts, report);
}

fn report_hosts(tree: &Tree, hosts: &[String], report: &mut Report<'_>) {
    for file in &tree.files {
        for host in hosts {
            for (offset, _) in file.text.match_indices(host.as_str()) {
                report.add(
                    &file.path,
                    file.line_at(offset),
                    "name the package and its version, not the host it came from",
                );
            }
        }
    }
}

/// No file holds a mail address that could be somebody's.
pub fn no_mail_address(tree: &Tree, report: &mut Report<'_>) {
    for file in &tree.files {
        for (offset, _) in file.text.match_indices('@') {
            if is_somebodys_address(&file.text, offset) {
                report.add(&file.path, file.line_at(offset), "remove the mail address, or use one at `example.com`");
            }
        }
    }
}

fn is_somebodys_address(text: &str, at: usize) -> bool {
    let has_name = text[..at].chars().next_back().is_some_and(|character| character.is_ascii_alphanumeric());
    let domain: &str = &text[at + 1..];
    let length = domain.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).unwrap_or(domain.len());
    // A URL's user stands before a host and a path or port, as in `git@host.example:owner/repo`.
    let is_url = domain[length..].starts_with([':', '/']);
    let domain = domain[..length].trim_end_matches(['.', '-']);
    let Some((_, ending)) = domain.rsplit_once('.') else { return false };
    let is_domain = ending.len() >= 2 && ending.chars().all(|character| character.is_ascii_alphabetic());
    let is_nobodys = NOBODYS_DOMAINS.iter().any(|known| domain == *known || domain.ends_with(&format!(".{known}")));
    has_name && is_domain && !is_url && !is_nobodys
}

/// Returns the host of `url`, without user and port. One word without dots, such as `localhost`, tells nothing.
fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', ',', '|']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (host.contains('.') && !host.starts_with("127.")).then(|| host.to_owned())
}

fn is_path_character(character: char) -> bool {
    character.is_alphanumeric() || "._-/}~$".contains(character)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{none, one, tree_of};
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_found() {
        let text = format!("a\ncd {}me/x", "/ho");
        one(no_path_of_a_machine, &[("docs/a.md", &text)], "docs/a.md:2", "use a relative one");
        let fine = format!("https://host{}me/x target{}rk/ {}me/runner/_temp", "/ho", "/wo", "/ho");
        none(no_path_of_a_machine, &[("docs/a.md", &fine)]);
    }

    #[test]
    fn a_registry_is_found() {
        let text = format!("one\nhttps://{}npmjs.org/octokit", "registry.");
        one(no_host_of_a_registry, &[("peers/a.json", &text)], "peers/a.json:2", "not the host");
    }

    #[test]
    fn the_registry_of_this_machine_is_found() {
        let own = host("https://user:word@mirror.invalid:8080/npm/").expect("there is a host");
        assert_eq!(own, "mirror.invalid");
        let mut findings = Vec::new();
        let tree = tree_of(&[("a.lock", "resolved https://mirror.invalid/x")]);
        report_hosts(&tree, &[own], &mut Report { rule: "rule", findings: &mut findings });
        assert_eq!(findings.len(), 1);
        assert_eq!(host("http://localhost:4873/"), None);
    }

    #[test]
    fn a_mail_address_is_found() {
        let text = format!("x\nWrite to jane.doe{}mail.dev.", '@');
        one(no_mail_address, &[("README.md", &text)], "README.md:2", "example.com");
    }

    #[test]
    fn what_only_looks_like_an_address_is_fine() {
        let text = "octocat@github.com, me@example.com, uses: actions/checkout@v4.1, npm i octokit@5.0, git@ghes.dev:o/r, @octokit/rest, x@host";
        none(no_mail_address, &[("README.md", text)]);
    }
}
