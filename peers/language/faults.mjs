// Where `@actions/workflow-parser` is known not to do what GitHub's server does. What the server does is known from the cases
// of testdata/conformance/workflow-parser and from its reader in actions/runner (src/Sdk/WorkflowParser); the same faults are
// in crates/greenlight-workflow/tests/verdicts/corrections.txt.

/** Returns the keys that the line of this number stands under, as far as indentation tells. */
function parents(text, number) {
  const lines = text.split("\n");
  const indentOf = (line) => line.match(/^[ -]*/)[0].length;
  const found = [];
  let indent = indentOf(lines[number - 1] ?? "");
  for (let at = number - 1; at >= 0; at--) {
    const line = lines[at];
    const isAbove = line.trim() !== "" && !line.trim().startsWith("#") && (at === number - 1 || indentOf(line) < indent);
    if (!isAbove) continue;
    indent = indentOf(line);
    found.push(line.trim().replace(/^(- )+/, "").split(":")[0]);
  }
  return found;
}

/** Says whether one of their messages is about something under this key. */
const isUnder = (text, message, key) => parents(text, Number(/Line: (\d+)/.exec(message)?.[1] ?? 1)).includes(key);

const REJECTED = [
  ["reference-not-looked-at", "the server refuses references of no known form", ["uses-syntax", "call-syntax"]],
  ["filter-beside-its-opposite", "the server refuses 'branches' beside 'branches-ignore'", ["filter-conflict"]],
  ["depth-not-counted", "the server refuses more than 50 levels (errors-max-depth.yml)", ["too-deep"]],
  ["matrix-not-made", "the server makes a matrix without expressions at once", ["empty-vector", "matrix-filter"]],
  ["tags-not-compared", "the server holds a value against its tag (errors-parse-float.yml and others)", ["yaml-tag"]],
  ["snapshot-version-not-read", "the server refuses versions that are no MAJOR.*", ["snapshot-version"]],
  [
    "snapshot-if-not-read",
    "the server reads the condition of a snapshot, the package leaves it as a text",
    (error, text) => error.code === "expression" && parents(text, error.line).includes("snapshot"),
  ],
  [
    "alias-of-nothing",
    "an alias that no anchor stands before is no YAML, the package's reader takes it for nothing",
    (error) => error.code === "unknown-anchor",
  ],
  [
    "tag-of-odd-letters",
    "YAML takes letters of an address in a tag and no others, the package's reader takes all",
    (error) => error.code === "yaml-syntax" && error.message.includes("tag"),
  ],
];

const ACCEPTED = [
  [
    "keys-of-workflow_dispatch",
    "the server ignores unknown keys there, takes inputs without properties for texts, and compares no default " +
      "(on-workflow_dispatch-unknown-keys-ignored.yml, on-workflow_dispatch-inputs-null.yml)",
    (message, text) => isUnder(text, message, "workflow_dispatch"),
  ],
  [
    "types-of-repository_dispatch",
    "the package's grammar has the name of another event in the place of repository_dispatch",
    (message, text) => isUnder(text, message, "repository_dispatch"),
  ],
  [
    "expression-for-a-mapping",
    "the server takes an expression for the whole of env, services and others, the package fails when it converts them",
    (message) => /'BasicExpressionToken'.*The type 'MappingToken' was expected/.test(message),
  ],
  [
    "fails-inside",
    "the package fails inside where a text is expected and something else comes",
    (message) => /is not a function|Cannot read properties/.test(message),
  ],
];

const applies = (about, item, text) => (Array.isArray(about) ? about.includes(item.code) : about(item, text));
const anyOf = (list, item, text) => list.some(([, , about]) => applies(about, item, text));

/** The faults by name. A difference is known where each thing that only one side says is one of them. */
export const FAULTS = [
  ...REJECTED.map(([name, reason, about]) => ({
    name,
    reason,
    explains: ({ text, theirs, ours }) =>
      theirs.length === 0 &&
      ours.every((error) => anyOf(REJECTED, error, text)) &&
      ours.some((error) => applies(about, error, text)),
  })),
  ...ACCEPTED.map(([name, reason, about]) => ({
    name,
    reason,
    explains: ({ text, theirs, ours }) =>
      ours.length === 0 &&
      theirs.every((message) => anyOf(ACCEPTED, message, text)) &&
      theirs.some((message) => applies(about, message, text)),
  })),
];
