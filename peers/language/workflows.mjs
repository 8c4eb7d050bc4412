// Reads mutated workflows with npm's `@actions/workflow-parser` and with `greenlight workflow check`: what one accepts the
// other has to accept.
//
// Wants GREENLIGHT and CONFORMANCE; SEED repeats a run, WORKFLOWS changes how many there are, KEEP names a folder that the
// mutants stay in.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Mutation } from "./mutation.mjs";
import { Random, seedOf } from "./random.mjs";
import { errorsOf } from "./reader.mjs";
import { Comparison } from "./verdict.mjs";
import { FAULTS } from "./faults.mjs";

const COUNT = Number(process.env.WORKFLOWS ?? 3_000);
const OUTPUT_BYTES_MAX = 512 << 20;

/** Returns the workflows that changes start from: those that GitHub's package accepts. */
async function seeds() {
  const folder = join(process.env.CONFORMANCE, "workflow-parser/reader");
  const cases = readdirSync(folder).sort().map((name) => readFileSync(join(folder, name), "utf8").split(/^---\r?\n/m)[1]);
  const ok = join(process.env.CONFORMANCE, "actionlint/ok");
  const files = readdirSync(ok).filter((name) => /\.ya?ml$/.test(name)).sort().map((name) => readFileSync(join(ok, name), "utf8"));
  const accepted = [];
  for (const text of [...cases, ...files]) {
    if (text && text.length < 4_000 && (await errorsOf("seed.yml", text)).length === 0) accepted.push(text.replaceAll("\r", ""));
  }
  return accepted;
}

/** Returns what we say about each file, warnings as well. */
function ourFindings(folder, names) {
  const answered = spawnSync(process.env.GREENLIGHT, ["workflow", "check", "--json", "--no-shellcheck", ...names], {
    cwd: folder,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (answered.error) throw answered.error;
  if (![0, 1].includes(answered.status)) throw new Error(`greenlight ended with ${answered.status}: ${answered.stderr}`);
  const { files } = JSON.parse(answered.stdout.toString());
  return new Map(files.map((file) => [file.path, file.errors]));
}

/** Returns the lines of a text that are about what was said, with those before and behind. */
function around(text, lines) {
  const isNear = (number) => lines.some((line) => Math.abs(line - number) <= 3);
  const shown = text.split("\n").map((line, at) => [at + 1, line]).filter(([number]) => isNear(number));
  return shown.map(([number, line]) => `        ${String(number).padStart(4)} | ${line}`).join("\n");
}

const seed = seedOf(process.env.SEED);
console.log(`-- ${COUNT} mutated workflows from seed ${seed}, against @actions/workflow-parser`);
const random = new Random(seed);
const mutation = new Mutation(random);
const started = await seeds();
const folder = process.env.KEEP ?? mkdtempSync(join(tmpdir(), "greenlight-language-"));
const comparison = new Comparison("workflows", FAULTS);
try {
  const mutants = Array.from({ length: COUNT }, (_, at) => ({ name: `${at}.yml`, text: mutation.of(random.of(started)) }));
  mutants.forEach(({ name, text }) => writeFileSync(join(folder, name), text));
  const ours = new Map();
  for (let at = 0; at < COUNT; at += 500) {
    const names = mutants.slice(at, at + 500).map(({ name }) => name);
    ourFindings(folder, names).forEach((findings, name) => ours.set(name, findings));
  }
  let rejected = 0;
  for (const { name, text } of mutants) {
    const theirs = await errorsOf(name, text);
    const findings = ours.get(name);
    if (!findings) throw new Error(`greenlight said nothing about ${name}`);
    const own = findings.filter((finding) => finding.severity === "error");
    comparison.compared += 1;
    rejected += own.length > 0 ? 1 : 0;
    if (theirs.length > 0 !== own.length > 0) {
      const told = own.map((error) => `${error.line}:${error.column} ${error.code}: ${error.message}`);
      const lines = [...theirs.map((message) => Number(/Line: (\d+)/.exec(message)?.[1])), ...own.map((error) => error.line)];
      const shown = `${name}: ${own.length > 0 ? "we reject" : "we accept"}\n        theirs ${theirs.join(" | ")}\n        ours   ${told.join(" | ")}\n${around(text, lines)}`;
      comparison.differs({ text, theirs, ours: own, findings }, shown);
    }
  }
  console.log(`        started from ${started.length} workflows; ${rejected} mutants rejected`);
} finally {
  if (!process.env.KEEP) rmSync(folder, { recursive: true });
}
comparison.conclude();
