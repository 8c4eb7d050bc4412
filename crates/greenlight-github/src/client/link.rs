//! The header Link, which names the next page.

/// Returns the address of the next page.
pub(super) fn next(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|word| word == "next")
        });
        is_next.then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let header =
            r#"<https://h/a?page=1>; rel="prev", <https://h/a?page=3>; rel="next", <https://h/a?page=9>; rel="last""#;
        assert_eq!(next(header).as_deref(), Some("https://h/a?page=3"));
        assert_eq!(next("<https://h/b>; rel=next").as_deref(), Some("https://h/b"));
        for none in ["", "<", "<https://h/a>; rel=\"last\"", "https://h/a; rel=\"next\"", "<https://h/a>", ",,,;=\"<>"]
        {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
