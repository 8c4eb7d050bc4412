// Evaluates generated expressions with npm's `@actions/expressions` and with `greenlight expr --batch`: values and kinds of
// errors have to be equal.
//
// Wants GREENLIGHT; SEED repeats a run, COUNT changes how many there are.

import { spawnSync } from "node:child_process";
import { Evaluator, Lexer, Parser } from "@actions/expressions";
import { replacer } from "@actions/expressions/data/replacer";
import { reviver } from "@actions/expressions/data/reviver";
import { Kind } from "@actions/expressions/data/expressiondata";
import { Grammar } from "./grammar.mjs";
import { Random, seedOf } from "./random.mjs";
import { Comparison } from "./verdict.mjs";

const COUNT = Number(process.env.COUNT ?? 20_000);
const EXPRESSIONS_PER_CONTEXTS = 50;
const OUTPUT_BYTES_MAX = 512 << 20;

/** Where the package is known to be wrong: GitHub's server, or its cases, say otherwise. */
const FAULTS = [
  {
    name: "empty-expression",
    reason: "the package fails inside on an expression without a token; for GitHub's server it is null",
    explains: ({ expr, theirs }) => expr.trim() === "" && theirs.err?.kind === "evaluation",
  },
  {
    name: "comma-at-the-end",
    reason: "the package takes a comma behind the last argument, GitHub's server refuses it",
    explains: ({ expr, ours }) => /,\s*\)/.test(expr) && ours.err?.kind === "parsing",
  },
  {
    name: "letters-that-grow",
    reason: "the package compares upper case as JavaScript makes it (SS for one sharp s), GitHub's server letter by letter",
    explains: ({ expr, contexts }) => expr.includes("ß") || JSON.stringify(contexts).includes("ß"),
  },
  {
    name: "second-escaped-quote",
    reason: "the package undoes the first '' of a text only",
    explains: ({ expr }) => /'(?:[^']|'')*''(?:[^']|'')*''(?:[^']|'')*'/.test(expr),
  },
  {
    name: "case-not-lazy",
    reason: "the package evaluates values of case() that are not taken, GitHub's server does not",
    explains: ({ expr, theirs, ours }) => /case\s*\(/i.test(expr) && theirs.err?.kind === "evaluation" && !ours.err,
  },
  {
    name: "format-specifiers",
    reason: "the package skips what stands between the number and the brace in {0x}, GitHub's runner refuses it",
    explains: ({ theirs, ours }) => !theirs.err && /\{\d+[^}\d]|format specifiers/.test(ours.err?.value ?? ""),
  },
  {
    name: "digits-of-numbers",
    reason: "the package writes numbers with 15 decimals in JavaScript's way, GitHub's server with 15 digits in .NET's",
    explains: ({ theirs, ours }) => withoutNumbers(theirs) !== undefined && withoutNumbers(theirs) === withoutNumbers(ours),
  },
];

/** Returns an answer's text with its longest and its exponential numbers left out; nothing where it has none. */
function withoutNumbers(answer) {
  const text = JSON.stringify(answer.value ?? null);
  const short = text.replace(/-?\d+(\.\d+)?[eE][+-]?\d+|-?\d{15,}(\.\d+)?|-?\d*\.\d{12,}/g, "#");
  return short.includes("#") ? short : undefined;
}

function theirAnswer(expr, contexts) {
  let tokens, tree, result;
  try {
    tokens = new Lexer(expr).lex().tokens;
  } catch (error) {
    return { err: { kind: "lexing", value: error.message } };
  }
  try {
    tree = new Parser(tokens, contexts.pairs().map(({ key }) => key), []).parse();
  } catch (error) {
    return { err: { kind: "parsing", value: error.message } };
  }
  try {
    result = new Evaluator(tree, contexts).evaluate();
  } catch (error) {
    return { err: { kind: "evaluation", value: error.message } };
  }
  const kind = result.kind === Kind.Dictionary ? "Object" : Kind[result.kind];
  return { kind, value: JSON.parse(JSON.stringify(result, replacer)) };
}

/** Returns an answer as a text that does not depend on the order of keys. */
function normal(answer) {
  const sorted = (value) =>
    Array.isArray(value)
      ? value.map(sorted)
      : value && typeof value === "object"
        ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
        : value;
  return answer.err ? `error: ${answer.err.kind}` : JSON.stringify([answer.kind, sorted(answer.value)]);
}

const seed = seedOf(process.env.SEED);
console.log(`-- ${COUNT} expressions from seed ${seed}, against @actions/expressions`);
const random = new Random(seed);
const grammar = new Grammar(random);
const cases = [];
let contexts;
for (let at = 0; at < COUNT; at++) {
  if (at % EXPRESSIONS_PER_CONTEXTS === 0) contexts = grammar.contexts();
  cases.push({ expr: grammar.expression(), contexts });
}

const asked = cases.map((one) => JSON.stringify(one)).join("\n") + "\n";
const began = process.hrtime.bigint();
const answered = spawnSync(process.env.GREENLIGHT, ["expr", "--batch"], { input: asked, maxBuffer: OUTPUT_BYTES_MAX });
console.log(`        greenlight took ${Number((process.hrtime.bigint() - began) / 1_000_000n)} ms`);
if (answered.error) throw answered.error;
const lines = answered.stdout.toString().trimEnd().split("\n");
if (answered.status !== 0 || lines.length !== COUNT) {
  throw new Error(`greenlight ended with ${answered.status} after ${lines.length} answers: ${answered.stderr}`);
}

const comparison = new Comparison("expressions", FAULTS);
const kinds = new Map();
let known;
cases.forEach(({ expr, contexts }, at) => {
  if (known?.from !== contexts) known = { from: contexts, dictionary: JSON.parse(JSON.stringify(contexts), reviver) };
  const theirs = theirAnswer(expr, known.dictionary);
  const ours = JSON.parse(lines[at]);
  comparison.compared += 1;
  const kind = theirs.err ? `${theirs.err.kind} error` : theirs.kind;
  kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  if (normal(theirs) !== normal(ours)) {
    const shown = `${JSON.stringify(expr)}\n        theirs ${JSON.stringify(theirs)}\n        ours   ${JSON.stringify(ours)}`;
    comparison.differs({ expr, contexts, theirs, ours }, shown);
  }
});
console.log(`        ${[...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ")}`);
comparison.conclude();
