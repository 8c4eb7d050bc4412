// The part of the toolkit that the scripts of the data use.
const fs = require('fs');
const [owner, repo] = process.env.GITHUB_REPOSITORY.split('/');
const context = {
  repo: { owner, repo },
  ref: process.env.GITHUB_REF,
  sha: process.env.GITHUB_SHA,
  eventName: process.env.GITHUB_EVENT_NAME,
  payload: JSON.parse(fs.readFileSync(process.env.GITHUB_EVENT_PATH, 'utf8')),
};
let written = '';
const summary = {
  addRaw(text) { written += text; return summary; },
  async write() { fs.appendFileSync(process.env.GITHUB_STEP_SUMMARY, written); return summary; },
};
const core = {
  summary,
  info: console.log,
  setFailed(message) { console.log(`::error::${message}`); process.exitCode = 1; },
  setOutput(name, value) { fs.appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<_end_\n${value}\n_end_\n`); },
  getInput: (name) => process.env[`INPUT_${name.toUpperCase()}`] || '',
};
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
new AsyncFunction('context', 'core', 'require', process.env.INPUT_SCRIPT)(context, core, require).catch((error) => {
  core.setFailed(error.stack);
});
