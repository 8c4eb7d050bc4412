// Asks GitHub's own parser about workflow and action files, and writes what it says about each as `verdicts.json`.
//
//     mkdir /tmp/parser && cd /tmp/parser && npm install @actions/workflow-parser@0.3.61 && cd -
//     node testdata/generate/verdicts.mjs /tmp/parser testdata/conformance/actionlint
//     node testdata/generate/verdicts.mjs /tmp/parser testdata/conformance/schemastore
//
// A workflow is read and converted; under `projects/`, the workflows that it calls are read with it. An action is read
// by the grammar that the runner uses (`action-root`); the stricter one beside it is for editors: it asks for a description
// and a known icon, which no runner does. What the runner refuses after reading (no `main`, no `steps`) is in `runsProblem`.

import fs from "node:fs";
import path from "node:path";
import { register, createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const VERSION = "0.3.61";
const [packages, root] = process.argv.slice(2);

// The package imports JSON without saying so, which Node refuses.
const hook = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const dist = path.resolve(packages, "node_modules/@actions/workflow-parser/dist");
const from = file => import(pathToFileURL(path.join(dist, file)));
const installed = createRequire(path.join(dist, "x.js"))("../package.json").version;
if (installed !== VERSION) {
  throw new Error(`@actions/workflow-parser ${installed} is installed, ${VERSION} is wanted`);
}
const { parseWorkflow } = await from("workflows/workflow-parser.js");
const { convertWorkflowTemplate } = await from("model/convert.js");
const { getWorkflowSchema } = await from("workflows/workflow-schema.js");
const { getActionSchema } = await from("actions/action-schema.js");
const { TemplateContext, TemplateValidationErrors } = await from("templates/template-context.js");
const { NoOperationTraceWriter } = await from("templates/trace-writer.js");
const { YamlObjectReader } = await from("workflows/yaml-object-reader.js");
const { readTemplate } = await from("templates/template-reader.js");
const { FeatureFlags } = await from("../../expressions/dist/features.js");

const context = schema => {
  const made = new TemplateContext(new TemplateValidationErrors(), schema, new NoOperationTraceWriter());
  made.state.featureFlags = new FeatureFlags({ all: true });
  return made;
};

// What the runner says of a `runs:` that its grammar lets through.
function runsProblem(runs) {
  const keys = new Map([...runs].map(pair => [pair.key.value, pair.value]));
  const using = keys.get("using")?.value?.toLowerCase();
  const lacks = key => (keys.get(key) === undefined || keys.get(key).value === "" ? `${key} is missing` : undefined);
  if (using === undefined) return keys.has("plugin") ? undefined : "using is missing";
  if (using === "docker") return lacks("image");
  if (["node12", "node16", "node20", "node24"].includes(using)) return lacks("main");
  if (using === "composite") return lacks("steps");
  return `using: ${using} is not supported`;
}

function action(name, content) {
  const made = context(getActionSchema());
  const fileId = made.getFileId(name);
  const reader = new YamlObjectReader(fileId, content);
  for (const error of reader.errors) made.error(fileId, error.message, error.range);
  if (reader.errors.length > 0) return made;
  const value = readTemplate(made, "action-root", reader, fileId);
  if (made.errors.getErrors().length > 0) return made;
  const runs = [...value].find(pair => pair.key.value === "runs");
  const problem = runs ? runsProblem(runs.value) : "runs is missing";
  if (problem) made.error(runs?.value ?? value, new Error(problem));
  return made;
}

async function workflow(project, name, content) {
  const made = context(getWorkflowSchema());
  const parsed = parseWorkflow({ name, content }, made);
  const provider = {
    getFileContent: async reference => {
      const file = path.join(root, project, reference.path ?? "");
      return { name: reference.path, content: fs.readFileSync(file, "utf8") };
    },
  };
  const depth = project ? 1 : 0;
  const options = { fetchReusableWorkflowDepth: depth, featureFlags: made.state.featureFlags };
  if (parsed.value) await convertWorkflowTemplate(made, parsed.value, provider, options);
  return made;
}

function* files(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(file);
    else if (/\.(ya?ml|json)$/.test(entry.name)) yield file;
  }
}

const isAction = name => /(^|\/)action\.ya?ml$/.test(name) || name.includes("github-action/");
const isOther = name => /(^|\/)(actionlint\.yaml|verdicts\.json)$/.test(name);

async function verdict(name) {
  const content = fs.readFileSync(path.join(root, name), "utf8");
  const project = name.startsWith("projects/") ? name.split("/").slice(0, 2).join("/") : undefined;
  try {
    const made = isAction(name) ? action(name, content) : await workflow(project, name, content);
    return made.errors.getErrors().map(error => ({
      // What is wrong in a called file has no line here.
      line: error.message.startsWith(name) ? (error.range?.start.line ?? 0) : 0,
      message: error.rawMessage.split("\n")[0],
    }));
  } catch (error) {
    return [{ line: 0, message: `the parser stops: ${error.message.split("\n")[0]}` }];
  }
}

const names = [...files(root)].map(file => path.relative(root, file)).filter(name => !isOther(name));
const lines = [];
for (const name of names.sort()) lines.push(`${JSON.stringify(name)}: ${JSON.stringify(await verdict(name))}`);
const target = path.join(root, "verdicts.json");
fs.writeFileSync(target, `{\n${lines.join(",\n")}\n}\n`);
console.log(`${target}: ${names.length} files`);
