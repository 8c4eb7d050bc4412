//! Escaping, and the frame around every page.

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}\
a{color:#0550ae}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #d0d7de}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #eaeef2;vertical-align:top}\
code{font:13px ui-monospace,monospace}pre{background:#f6f8fa;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}\
.success{color:#1a7f37}.failure,.error{color:#b3261e}.pending,.queued,.in_progress{color:#7d4e00}\
form{margin:.8rem 0;padding:.8rem;border:1px solid #d0d7de;border-radius:6px}label{display:block;margin:.3rem 0}\
input,textarea,select{font:inherit;width:100%;max-width:32rem;box-sizing:border-box;display:block}button{font:inherit;margin-top:.5rem}\
@media(max-width:44rem){thead{position:absolute;clip-path:inset(50%)}table,tbody{display:block}\
tr{display:flex;flex-wrap:wrap;gap:0 .8rem;padding:.4rem 0;border-bottom:1px solid #d0d7de}td{border:0;padding:0;min-width:0}td,p{overflow-wrap:anywhere}}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#79c0ff}pre{background:#161b22}td,th,tr,h2,form{border-color:#30363d}\
.success{color:#56d364}.failure,.error{color:#ff8a80}.pending,.queued,.in_progress{color:#e3b341}}";

/// Makes a text harmless in HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns a link; one whose address is no web address is only a text.
pub fn link(address: &str, text: &str) -> String {
    if address.starts_with('/') || address.starts_with("http://") || address.starts_with("https://") {
        format!("<a href=\"{}\">{}</a>", escape(address), escape(text))
    } else {
        escape(text)
    }
}

/// Returns a state in its colour.
pub fn state(word: &str) -> String {
    format!("<span class=\"{0}\">{0}</span>", escape(word))
}

/// Returns a table, or a sentence where it has no rows. Cells are HTML.
pub fn table(columns: &[&str], rows: &[Vec<String>], nothing: &str) -> String {
    if rows.is_empty() {
        return format!("<p>{}</p>", escape(nothing));
    }
    let head: String = columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", escape(column))).collect();
    let body: String = rows
        .iter()
        .map(|row| format!("<tr>{}</tr>", row.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>()))
        .collect();
    format!("<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
}

/// Puts the frame around a page.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head><body><nav>{} · {}</nav><main><h1>{title}</h1>{body}</main></body></html>",
        link("/", "Emulated GitHub"),
        link("/_room", "The room")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        assert_eq!(link("javascript:alert(1)", "x"), "x");
    }
}
