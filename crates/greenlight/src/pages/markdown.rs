//! The summaries of steps as HTML. Jobs write them, and jobs run anybody's code: what comes out is made of tags that are written
//! here, around text that is escaped.
//!
//! Actions write HTML into their Markdown (`core.summary` makes headings and tables of it), so the tags that only format are known
//! and written anew, without their attributes; all others are left out, and their text stays. Nothing is loaded: a picture becomes a link.

use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Tags that are kept where they stand as HTML.
const TAGS: &[&str] = &[
    "b",
    "blockquote",
    "br",
    "code",
    "del",
    "details",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];
/// Tags whose text nobody is to see either.
const UNSEEN: &[&str] = &["script", "style", "template", "title"];
/// What ends an address that stands in a text.
const ADDRESS_ENDS: &[char] = &['<', '>', '"', '\'', '`', '|', '\\', '^', '{', '}'];
/// What may stand behind an address and is none of it.
const BEHIND_ADDRESS: &[char] = &['.', ',', ';', ':', '!', '?', '*', '_', '~', ')'];
/// Those of them that have no end.
const EMPTY: &[&str] = &["br", "hr"];
/// How far headings go down: the page has headings of its own above them.
const HEADINGS_DOWN: u8 = 2;
/// How many tags may be open at once.
const DEPTH_MAX: usize = 100;

/// Returns a summary as HTML.
pub fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    let mut events = Vec::new();
    for event in Parser::new_ext(markdown, options) {
        writer.take(event, &mut events);
    }
    let mut out = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut out, events.into_iter());
    writer.open.iter().rev().for_each(|tag| out.push_str(&format!("</{tag}>")));
    out
}

#[derive(Default)]
struct Writer {
    /// The tags of HTML that are open.
    open: Vec<&'static str>,
    /// The HTML of the block that is being read.
    block: Option<String>,
    /// Of the links and pictures around this place: do they have a tag?
    links: Vec<bool>,
    /// How the columns of the table around this place are set.
    columns: Vec<Alignment>,
    /// Which cell of its row comes next.
    cell: usize,
    /// Is this place in the head of a table?
    is_head: bool,
    /// Is it in a block of code?
    is_code: bool,
    /// Is it in a line whose script or style has begun and not ended?
    is_unseen: bool,
}

impl Writer {
    fn take<'a>(&mut self, event: Event<'a>, out: &mut Vec<Event<'a>>) {
        match event {
            Event::Text(_) | Event::Code(_) if self.is_unseen => {}
            Event::Start(Tag::HtmlBlock) => self.block = Some(String::new()),
            Event::End(TagEnd::HtmlBlock) => {
                if let Some(text) = self.block.take() {
                    out.push(Event::Html(self.rewritten(&text).into()));
                    self.is_unseen = false;
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => match &mut self.block {
                Some(block) => block.push_str(&text),
                None => out.push(Event::InlineHtml(self.rewritten(&text).into())),
            },
            Event::Start(Tag::Heading { level, .. }) => {
                out.push(Event::Start(Tag::Heading {
                    level: lower(level),
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                }));
            }
            Event::End(TagEnd::Heading(level)) => out.push(Event::End(TagEnd::Heading(lower(level)))),
            Event::End(TagEnd::CodeBlock) => {
                self.is_code = false;
                out.push(event);
            }
            Event::Start(Tag::CodeBlock(_)) => {
                self.is_code = true;
                out.push(Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented)))
            }
            // How columns are set would be an inline style, which no page may have: it becomes a class.
            Event::Start(Tag::Table(columns)) => {
                out.push(Event::InlineHtml("<table>".into()));
                self.columns = columns;
            }
            Event::End(TagEnd::Table) => out.push(Event::InlineHtml("</tbody></table>".into())),
            Event::Start(Tag::TableHead) => {
                (self.cell, self.is_head) = (0, true);
                out.push(Event::InlineHtml("<thead><tr>".into()));
            }
            Event::End(TagEnd::TableHead) => {
                self.is_head = false;
                out.push(Event::InlineHtml("</tr></thead><tbody>".into()));
            }
            Event::Start(Tag::TableRow) => {
                self.cell = 0;
                out.push(Event::InlineHtml("<tr>".into()));
            }
            Event::End(TagEnd::TableRow) => out.push(Event::InlineHtml("</tr>".into())),
            Event::Start(Tag::TableCell) => {
                let class = match self.columns.get(self.cell) {
                    Some(Alignment::Center) => " class=\"center\"",
                    Some(Alignment::Right) => " class=\"right\"",
                    _ => "",
                };
                self.cell += 1;
                out.push(Event::InlineHtml(format!("<{}{class}>", self.cell_tag()).into()));
            }
            Event::End(TagEnd::TableCell) => out.push(Event::InlineHtml(format!("</{}>", self.cell_tag()).into())),
            Event::Text(text) if self.links.is_empty() && !self.is_code && text.contains("://") => linked(&text, out),
            Event::TaskListMarker(is_done) => out.push(Event::Text(if is_done { "☑ " } else { "☐ " }.into())),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let opened = opening(&dest_url);
                self.links.push(opened.is_some());
                out.extend(opened.map(|tag| Event::InlineHtml(tag.into())));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if self.links.pop() == Some(true) {
                    out.push(Event::InlineHtml(CowStr::Borrowed("</a>")));
                }
            }
            Event::End(TagEnd::Paragraph | TagEnd::Item) => {
                self.is_unseen = false;
                out.push(event);
            }
            other => out.push(other),
        }
    }

    /// Writes HTML anew: known tags without their attributes, everything else as text.
    fn rewritten(&mut self, mut html: &str) -> String {
        let mut out = String::with_capacity(html.len());
        while let Some(start) = html.find('<') {
            escape(&html[..start], &mut out);
            html = &html[start..];
            if let Some(rest) = html.strip_prefix("<!--") {
                html = rest.find("-->").map_or("", |end| &rest[end + 3..]);
                continue;
            }
            match tag_of(html) {
                // What stands in these is no text.
                Some((tag, rest)) if UNSEEN.contains(&&*tag.name) && !tag.is_end => {
                    let end = format!("</{}", tag.name);
                    let at = rest.to_ascii_lowercase().find(&end);
                    // In a line of text the rest of it comes piece by piece.
                    self.is_unseen = at.is_none();
                    html = at.and_then(|at| rest[at..].split_once('>')).map_or("", |(_, rest)| rest);
                }
                Some((tag, rest)) => {
                    self.is_unseen &= !UNSEEN.contains(&&*tag.name);
                    self.tag(&tag, &mut out);
                    html = rest;
                }
                None => {
                    out.push_str("&lt;");
                    html = &html[1..];
                }
            }
        }
        escape(html, &mut out);
        out
    }

    fn cell_tag(&self) -> &'static str {
        if self.is_head { "th" } else { "td" }
    }

    fn tag(&mut self, tag: &RawTag<'_>, out: &mut String) {
        if tag.name == "img" {
            if let Some(link) = tag.attribute("src").and_then(|src| opening(&src)) {
                out.push_str(&link);
                escape(
                    &tag.attribute("alt").filter(|alt| !alt.is_empty()).unwrap_or_else(|| "a picture".to_owned()),
                    out,
                );
                out.push_str("</a>");
            }
            return;
        }
        if tag.name == "a" && !tag.is_end {
            if self.open.len() < DEPTH_MAX
                && let Some(link) = tag.attribute("href").and_then(|href| opening(&href))
            {
                self.open.push("a");
                out.push_str(&link);
            }
            return;
        }
        let known = TAGS.iter().chain(&["a"]).find(|known| **known == tag.name);
        let Some(name) = known.map(|name| lower_tag(name)) else { return };
        if tag.is_end {
            // What was opened inside it and never closed ends with it.
            if let Some(place) = self.open.iter().rposition(|open| *open == name) {
                self.open.drain(place..).rev().for_each(|open| out.push_str(&format!("</{open}>")));
            }
        } else if EMPTY.contains(&name) {
            out.push_str(&format!("<{name}>"));
        } else if self.open.len() < DEPTH_MAX {
            self.open.push(name);
            out.push_str(&format!("<{name}{}>", tag.spans()));
        }
    }
}

/// A tag as it was written.
struct RawTag<'a> {
    name: String,
    is_end: bool,
    attributes: &'a str,
}

impl RawTag<'_> {
    /// Returns an attribute's value, its quotes taken off.
    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            let name = &rest[..end];
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                (value, rest) = match after.chars().next().filter(|first| matches!(first, '"' | '\'')) {
                    Some(quote) => after[1..].split_once(quote)?,
                    None => after.split_at(after.find(|c: char| c.is_ascii_whitespace()).unwrap_or(after.len())),
                };
            }
            if name.eq_ignore_ascii_case(wanted) {
                return Some(value.replace("&amp;", "&"));
            }
        }
    }

    /// Returns what a cell says about its size, and whether details are open.
    fn spans(&self) -> String {
        let mut spans = String::new();
        for name in ["colspan", "rowspan"].into_iter().filter(|_| matches!(&*self.name, "td" | "th")) {
            if let Some(number) = self.attribute(name).and_then(|number| number.parse::<u8>().ok()) {
                spans.push_str(&format!(" {name}=\"{number}\""));
            }
        }
        if self.name == "details" && self.attribute("open").is_some() {
            spans.push_str(" open");
        }
        spans
    }
}

/// Reads the tag at the beginning of a text that begins with `<`, and returns what follows it.
fn tag_of(html: &str) -> Option<(RawTag<'_>, &str)> {
    let inside = html.strip_prefix('<')?;
    let (is_end, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
    let length = inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inside.len());
    if !inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut quote = None;
    let end = inside.char_indices().find(|(_, c)| match (quote, c) {
        (None, '>') => true,
        (None, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        (Some(open), c) if open == *c => {
            quote = None;
            false
        }
        _ => false,
    });
    let end = end?.0;
    let tag = RawTag { name: inside[..length].to_ascii_lowercase(), is_end, attributes: inside.get(length..end)? };
    Some((tag, &inside[end + 1..]))
}

/// Writes a text in which addresses of the web become links, as on GitHub.
fn linked<'a>(text: &str, out: &mut Vec<Event<'a>>) {
    let mut rest = text;
    while let Some(start) = ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min() {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| c.is_whitespace() || ADDRESS_ENDS.contains(&c)).unwrap_or(from.len());
        let address = from[..end].trim_end_matches(BEHIND_ADDRESS);
        let is_alone = !before.ends_with(|c: char| c.is_alphanumeric());
        let has_host =
            address.split_once("://").is_some_and(|(_, host)| host.starts_with(|c: char| c.is_alphanumeric()));
        let tag = opening(address).filter(|_| is_alone && has_host);
        out.push(Event::Text(before.to_owned().into()));
        match tag {
            Some(tag) => out.extend([
                Event::InlineHtml(tag.into()),
                Event::Text(address.to_owned().into()),
                Event::InlineHtml(CowStr::Borrowed("</a>")),
            ]),
            None => out.push(Event::Text(address.to_owned().into())),
        }
        rest = &from[address.len()..];
    }
    out.push(Event::Text(rest.to_owned().into()));
}

/// Returns the tag that opens a link, where it leads to the web.
fn opening(url: &str) -> Option<String> {
    super::is_web(url).then(|| {
        let mut tag = String::from("<a rel=\"noreferrer nofollow\" href=\"");
        url.chars().for_each(|c| match c {
            '"' => tag.push_str("%22"),
            '<' => tag.push_str("%3C"),
            '>' => tag.push_str("%3E"),
            '&' => tag.push_str("&amp;"),
            c => tag.push(c),
        });
        tag + "\">"
    })
}

/// Writes text of HTML: what stands for a character goes on doing so.
fn escape(text: &str, out: &mut String) {
    for (place, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '&' if !is_reference(&text[place + 1..]) => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
}

/// Is this, behind an `&`, the name or the number of a character?
fn is_reference(text: &str) -> bool {
    let end = text.bytes().take(33).position(|byte| !byte.is_ascii_alphanumeric() && byte != b'#');
    end.is_some_and(|end| end > 0 && text.as_bytes()[end] == b';')
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    HeadingLevel::try_from((level as usize + usize::from(HEADINGS_DOWN)).min(6)).unwrap_or(HeadingLevel::H6)
}

fn lower_tag(name: &'static str) -> &'static str {
    match name {
        "h1" => "h3",
        "h2" => "h4",
        "h3" => "h5",
        "h4" | "h5" => "h6",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_below_the_headings_of_the_page() {
        let shown =
            html("# Tests\n\n| a | b |\n|---|--:|\n| 1 | `2` |\n\n- [x] done\n\n[more](https://example.org/?a=1&b=2)");
        for part in [
            "<h3>Tests</h3>",
            "<th>a</th><th class=\"right\">b</th>",
            "<td>1</td><td class=\"right\"><code>2</code></td>",
            "☑ done",
            "<a rel=\"noreferrer nofollow\" href=\"https://example.org/?a=1&amp;b=2\">more</a>",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn what_actions_write_as_html_is_kept_without_attributes() {
        let written = "<h1 class=\"x\">Tests</h1>\n<table><tr><th colspan=\"2\">a &lt; b</th></tr></table>\n<details open><summary>More</summary>\n\ntext\n\n</details>";
        let shown = html(written);
        for part in
            ["<h3>Tests</h3>", "<th colspan=\"2\">a &lt; b</th>", "<details open><summary>More</summary>", "</details>"]
        {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn nothing_runs_and_nothing_is_loaded() {
        for written in [
            "<script>alert(1)</script>",
            "<scr<script>x</script>ipt>alert(1)</script>",
            "|a|\n|:-:|\n|https://evil.example/\" onclick=\"alert(1)|",
            "<img src=x onerror=alert(1)>",
            "a <img src=\"https://evil.example/x.png\" onload=\"alert(1)\"> b",
            "![x](https://evil.example/x.png)",
            "[x](javascript:alert(1))",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href='https://evil.example/\" onmouseover=\"alert(1)'>x</a>",
            "<b onclick=\"alert(1)\">x</b>",
            "<style>*{display:none}</style>",
            "<iframe src=\"https://evil.example\"></iframe>",
            "<svg/onload=alert(1)>",
            "<b <script>alert(1)</script>",
            "<!-- a --><form action=\"/x\"><button>y</button></form>",
            "</div></main><h1>x",
            "```\" onmouseover=\"alert(1)\nx\n```",
        ] {
            let shown = html(written);
            let tags: Vec<&str> = shown.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect();
            for tag in tags {
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
                let is_known = name == "a" || TAGS.contains(&name);
                let more = tag.strip_prefix(name).unwrap_or("");
                let is_plain = more.trim_matches([' ', '/']).is_empty() || tag.starts_with('/');
                let is_link =
                    tag.starts_with("a rel=\"noreferrer nofollow\" href=\"https://") && tag.matches('"').count() == 4;
                let is_cell = matches!(more, " class=\"center\"" | " class=\"right\"");
                assert!(is_known && (is_plain || is_link || is_cell), "{written} became {shown}");
            }
        }
    }

    #[test]
    fn an_address_in_a_text_is_a_link() {
        for (written, shown) in [
            (
                "see https://example.org/a?b=1&c=2.",
                "see <a rel=\"noreferrer nofollow\" href=\"https://example.org/a?b=1&amp;c=2\">https://example.org/a?b=1&amp;c=2</a>.",
            ),
            (
                "(http://example.org)",
                "(<a rel=\"noreferrer nofollow\" href=\"http://example.org\">http://example.org</a>)",
            ),
            (
                "[x](https://example.org/) `https://y.example`",
                "<a rel=\"noreferrer nofollow\" href=\"https://example.org/\">x</a> <code>https://y.example</code>",
            ),
            ("xhttps://example.org and https://", "xhttps://example.org and https://"),
        ] {
            assert_eq!(html(written).trim(), format!("<p>{shown}</p>"), "{written}");
        }
        assert!(!html("    https://example.org/in/code").contains("<a "));
    }

    #[test]
    fn what_nobody_is_to_see_is_left_out() {
        for (written, left) in [
            ("<script>alert(1)</script>evil", "evil"),
            ("a <STYLE>*{}</style > b", "<p>a  b</p>"),
            ("<script>alert(1)", ""),
            ("<title>x</title>", ""),
            ("a <script>`b`\n\nc", "<p>a </p>\n<p>c</p>"),
        ] {
            assert_eq!(html(written).trim(), left, "{written}");
        }
    }

    #[test]
    fn what_is_open_is_closed() {
        assert!(html("<b>bold").trim_end().ends_with("</b>"));
        assert_eq!(html("x </b> y").trim_end(), "<p>x  y</p>");
        let deep = html(&"<b>".repeat(10_000));
        assert_eq!(deep.matches("<b>").count(), DEPTH_MAX);
        assert_eq!(deep.matches("</b>").count(), DEPTH_MAX);
    }
}
