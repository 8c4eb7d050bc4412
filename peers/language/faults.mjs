// Where `@actions/workflow-parser` is known not to do what GitHub's server does. What the server does is known from the cases
// of testdata/conformance/workflow-parser and from its reader in actions/runner (src/Sdk/WorkflowParser); the same faults are
// in crates/greenlight-workflow/tests/verdicts/corrections.txt.

/** The codes of everything that we reject and the package does not look at. */
const notLookedAt = new Set();

/** Returns a fault where we reject for one of these codes, and for nothing else that the package looks at. */
function weReject(name, reason, ...codes) {
  codes.forEach((code) => notLookedAt.add(code));
  const explains = ({ theirs, ours }) =>
    theirs.length === 0 &&
    ours.every((error) => notLookedAt.has(error.code)) &&
    ours.some((error) => codes.includes(error.code));
  return { name, reason, explains };
}

/** Returns a fault where we accept and every error of theirs matches. */
const theyReject = (name, reason, pattern) => ({
  name,
  reason,
  explains: ({ theirs, ours }) => ours.length === 0 && theirs.every((message) => pattern.test(message)),
});

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

export const FAULTS = [
  weReject("reference-not-looked-at", "the server refuses references of no known form", "uses-syntax", "call-syntax"),
  weReject("filter-beside-its-opposite", "the server refuses 'branches' beside 'branches-ignore'", "filter-conflict"),
  weReject("depth-not-counted", "the server refuses more than 50 levels (errors-max-depth.yml)", "too-deep"),
  weReject("matrix-not-made", "the server makes a matrix without expressions at once", "empty-vector", "matrix-filter"),
  weReject("tags-not-compared", "the server holds a value against its tag (errors-parse-float.yml and others)", "yaml-tag"),
  weReject("snapshot-version-not-read", "the server refuses versions that are no MAJOR.* (Snapshot conversion)", "snapshot-version"),
  {
    name: "snapshot-if-not-read",
    reason: "the server reads the condition of a snapshot, the package leaves it as a text",
    explains: ({ text, theirs, ours }) =>
      theirs.length === 0 && ours.every((error) => error.code === "expression" && parents(text, error.line).includes("snapshot")),
  },
  {
    name: "alias-of-nothing",
    reason: "an alias that no anchor stands before is no YAML, the package's reader takes it for nothing",
    explains: ({ theirs, ours }) =>
      theirs.length === 0 && ours.every((error) => error.code === "yaml-syntax" && error.message.includes("anchor")),
  },
  {
    name: "tag-of-odd-letters",
    reason: "YAML takes letters of an address in a tag and no others, the package's reader takes all",
    explains: ({ theirs, ours }) =>
      theirs.length === 0 && ours.every((error) => error.code === "yaml-syntax" && error.message.includes("tag")),
  },
  {
    name: "keys-of-workflow_dispatch",
    reason:
      "the server ignores unknown keys there, takes inputs without properties for texts, and compares no default " +
      "(on-workflow_dispatch-unknown-keys-ignored.yml, on-workflow_dispatch-inputs-null.yml)",
    explains: ({ text, theirs, ours }) =>
      ours.length === 0 && theirs.every((message) => isUnder(text, message, "workflow_dispatch")),
  },
  {
    name: "types-of-repository_dispatch",
    reason: "the package's grammar has the name of another event in the place of repository_dispatch",
    explains: ({ text, theirs, ours }) =>
      ours.length === 0 && theirs.every((message) => isUnder(text, message, "repository_dispatch")),
  },
  theyReject("fails-inside", "the package fails inside where a text is expected and something else comes", /is not a function|Cannot read properties/),
];
