//! What to do about a finding where nobody who knows the place better says so.

/// Functions that every expression may use, as they are called.
const SIGNATURES: [(&str, &str); 8] = [
    ("contains", "contains(search, item)"),
    ("startsWith", "startsWith(text, start)"),
    ("endsWith", "endsWith(text, end)"),
    ("format", "format('{0} {1}', first, second)"),
    ("join", "join(list, ', ')"),
    ("toJSON", "toJSON(value)"),
    ("fromJSON", "fromJSON(text)"),
    ("case", "case(condition, value, …, default)"),
];

/// Returns what to do about an error of this code and sentence.
pub(super) fn of(code: &str, message: &str) -> Option<String> {
    let advice = match code {
        "yaml-syntax" => return Some(for_yaml(message).into()),
        "expression" => return Some(for_expression(message)),
        "missing-key" => {
            return message.rsplit_once(": ").map(|(_, key)| format!("add '{key}:'"));
        }
        "ambiguous-mapping" => "say what it is meant to be by one of these keys",
        "call-not-found" => "check the path and the branch, tag or commit, and that this repository may read that one",
        "called-too-large" | "file-too-large" => "split it; a workflow can call others",
        "calls-too-deep" | "too-many-calls" => "call fewer workflows from within called ones",
        "concurrency-group" => "choose a shorter name",
        "condition-always-true" => "put the whole condition inside one '${{ }}', or leave the braces out",
        "cron" => "write five fields with blanks between them, as '30 5 * * 1-5'",
        "empty-file" => "write something into it, or remove it",
        "expression-not-allowed" => "write the value itself",
        "input-default" => "write a value of the input's type, or change the type",
        "input-missing" => "hand it over under 'with:'",
        "input-options" => {
            "'options:' and 'type: choice' go together; add the one that is missing, or remove the other"
        }
        "input-type" => "hand over a value of the type that is declared, or an expression that comes to one",
        "input-unknown" | "secret-unknown" => "remove it, or declare it in the called workflow",
        "invalid-id" => "choose another id, as 'build_1'",
        "key-not-scalar" => "write a plain name before the colon",
        "matrix" if message.contains("more than") => "use fewer values, or take some out with 'exclude'",
        "matrix" => "give it one list at least, or 'include'",
        "needs-cycle" => "remove one of the needs that lead in a circle",
        "needs-unknown" => "name a job of this workflow",
        "no-first-job" => "remove 'needs' from the job that is to start first",
        "parallel" => "move it out of the parallel block",
        "runner-group" => "write the group's name alone, or 'organization/NAME' or 'enterprise/NAME'",
        "secret-missing" => "hand it over under 'secrets:', or write 'secrets: inherit'",
        "step-reference" => "name the id of an earlier step that runs in the background",
        "too-deep" => "nest less deep, or split the file",
        "too-many-aliases" => "write out what is meant",
        "too-many-jobs" => "use a matrix or called workflows, or split the workflow",
        "unexpected-value" | "unexpected-mapping" | "unexpected-sequence" => "write a text",
        "unknown-anchor" => "name an anchor, '&name', that stands before the alias",
        "unknown-event" => "name an event of GitHub's, as push, pull_request or workflow_dispatch",
        "unknown-key" => "remove it",
        "wait-all" => "write 'wait-all:' with nothing behind it",
        "yaml-tag" => "remove the tag",
        _ => return None,
    };
    Some(advice.into())
}

/// Returns what to do about YAML that cannot be read, by the scanner's own words.
fn for_yaml(message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["the quote that opens here"]) {
        "close it where the text ends; where the text goes on in the next line, indent that line"
    } else if says(&["tab"]) {
        "put blanks in the place of the tab"
    } else if says(&["mapping values are not allowed"]) {
        "put a text that has ': ' in it between quotes, or indent the key as its neighbours are"
    } else if says(&["expected ',' or ']'", "expected ',' or '}'", "bracket", "flow"]) {
        "close the bracket, or put a comma between its items"
    } else if says(&["quoted scalar, found unexpected end", "found unexpected document indicator", "trailing content"])
    {
        "close the quotes where the text ends"
    } else if says(&["escape", "hexadecimal", "Unicode"]) {
        "write two backslashes for one, or put the text between single quotes"
    } else if says(&["unexpected character", "directive", "cannot start", "anchor or alias", "while scanning a tag"]) {
        "put a text that begins with a sign of YAML's (% @ ` & * ! | >) between quotes"
    } else if says(&["expected key", "simple key", "indent", "'-' indicator", "block sequence entries", "mapping keys"])
    {
        "indent this line as its neighbours are"
    } else {
        "check indentation, quotes and brackets here and in the line before"
    }
}

/// Returns what to do about an expression, by GitHub's own words.
fn for_expression(message: &str) -> String {
    let quoted = message.split('\'').nth(1).unwrap_or_default();
    let signature = || SIGNATURES.iter().find(|(name, _)| name.eq_ignore_ascii_case(quoted)).map(|(_, shown)| *shown);
    if message.starts_with("Unrecognized function") {
        return match quoted.to_ascii_lowercase().as_str() {
            "success" | "failure" | "always" | "cancelled" => {
                "only the 'if:' of jobs and steps may ask for the status".into()
            }
            "hashfiles" => "only steps have files that can be hashed".into(),
            _ => "name a function that is known here".into(),
        };
    }
    if message.contains("parameters supplied") {
        return match signature() {
            Some(shown) => format!("write {shown}"),
            None => "give it as many values as it takes".into(),
        };
    }
    if message.starts_with("Unexpected symbol: '\"") {
        return "put texts in expressions between single quotes".into();
    }
    let advice = if message.starts_with("Unexpected symbol") {
        "an expression knows only ! < <= > >= == != && || ( ) [ ] . and calls of functions"
    } else if message.starts_with("Unexpected end") {
        "write what is missing at the end"
    } else if message.contains("not closed") {
        "add '}}', and look for a single quote that is not closed"
    } else if message.starts_with("An expression was expected") {
        "write an expression between the braces, or remove them"
    } else if message.starts_with("Exceeded") {
        "make it shorter, for instance by a variable or a script file"
    } else if message.contains("directive") {
        "'${{ insert }}' stands alone, as a key"
    } else {
        "name a context that is known here"
    };
    advice.into()
}
