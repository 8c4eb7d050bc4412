// Shows a browser every kind of page: `tour.mjs PROGRAM FOLDER`. PROGRAM is greenlight; the pictures go to FOLDER.
//
// `PROGRAM demo --fast` plays its story, which leaves behind what pages can show: runs that are green, red and held back, logs,
// deployments, deliveries, pull requests. The addresses come from the server's API and from links on the emulated GitHub's
// pages, and look.mjs judges them. The demo ends with this program, and its folder with it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const STORY_WITHIN_MS = 120_000;
const END_WITHIN_MS = 20_000;

const [program, folder] = process.argv.slice(2);
if (!program || !folder) {
  console.error("usage: tour.mjs PROGRAM FOLDER");
  process.exit(2);
}

const demo = spawn(program, ["demo", "--fast", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
const ended = once(demo, "exit");
let code = 1;
try {
  const { github, pages } = await played(demo);
  await brings_wrong_files(github, pages);
  const urls = [...(await greenlight(pages)), ...(await emulated(github))];
  code = await look(urls);
} catch (error) {
  console.error(`tour: ${error.message}`);
} finally {
  demo.kill("SIGTERM");
  const late = setTimeout(() => demo.kill("SIGKILL"), END_WITHIN_MS);
  await ended;
  clearTimeout(late);
}
process.exit(code);

/** Waits for the end of the story, and returns where both sites are. */
async function played(demo) {
  const late = setTimeout(() => demo.kill("SIGTERM"), STORY_WITHIN_MS);
  let sites;
  try {
    // The loop does not end the reading: the demo goes on telling, and must not be stopped by a full pipe.
    for await (const event of events(demo)) {
      if (event.pages && event.github) sites = event;
      if (!event.judge) continue;
      if (!event.judge.ok) throw new Error(`the demo's story failed: ${JSON.stringify(event.judge)}`);
      return sites;
    }
  } finally {
    clearTimeout(late);
    demo.stdout.resume();
  }
  throw new Error("the demo ended before its story did");
}

async function* events(demo) {
  const lines = createInterface({ input: demo.stdout });
  for await (const line of lines) {
    if (line.startsWith("{")) yield JSON.parse(line);
  }
}

/** Opens a pull request by the emulated GitHub's form that brings a wrong workflow and a wrong `.greenlight.yml`. */
async function brings_wrong_files(github, pages) {
  const post = async (path, fields) => {
    const answer = await fetch(`${github}${path}`, { method: "POST", body: new URLSearchParams({ as: "octocat", ...fields }) });
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return new URL(answer.url).pathname;
  };
  const { runs } = await (await fetch(`${pages}/api/v1/runs`)).json();
  const workflow = "on: pull_request\njobs:\n  a:\n    runs-on: ubuntu-latest\n    stesp: []\n";
  const change = { branch: "wrong", title: "Wrong files", path: ".github/workflows/a-name-that-is-long-enough.yml", content: workflow };
  const pull = await post(`/${runs[0].repository}/change`, change);
  await post(`${pull}/push`, { path: ".greenlight.yml", content: "merge:\n  whn: green\n  method: squish\n" });
  const number = Number(pull.split("/").at(-1));
  const until = Date.now() + STORY_WITHIN_MS;
  const isThere = (run) => run.pull === number && run.workflow === change.path && run.conclusion === "failure";
  while (!(await (await fetch(`${pages}/api/v1/runs`)).json()).runs.some(isThere)) {
    if (Date.now() > until) throw new Error("the run of the wrong workflow did not come");
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Returns the addresses of the server's pages: one run of each outcome with its first job, those of
 * wrong files, and one of everything else. */
async function greenlight(pages) {
  const read = async (path) => {
    const answer = await fetch(`${pages}/api/v1${path}`);
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return answer.json();
  };
  const { runs } = await read("/runs");
  const { deliveries } = await read("/deliveries");
  const repository = runs[0].repository;
  const kinds = new Map(runs.map((run) => [`${run.event} ${run.state} ${run.name === run.workflow}`, run]));
  if (!runs.some((run) => run.conclusion === "failure")) throw new Error("there is no failed run to look at");
  const paths = ["/", `/${repository}/runs`];
  for (const { number } of kinds.values()) {
    paths.push(`/${repository}/runs/${number}`);
    const { jobs } = await read(`/repos/${repository}/runs/${number}`);
    for (const job of jobs.slice(0, 1)) paths.push(`/${repository}/runs/${number}/jobs/${encodeURIComponent(job.key)}`);
  }
  for (const number of new Set(runs.map((run) => run.pull).filter(Boolean))) paths.push(`/${repository}/pulls/${number}`);
  paths.push(`/${repository}/environments`, "/deliveries", `/deliveries/${encodeURIComponent(deliveries[0].id)}`);
  return paths.map((path) => `${pages}${path}`);
}

/** Returns the addresses of the emulated GitHub's pages: its first one, and one of each kind that can be reached from there. */
async function emulated(github) {
  const links = async (path) => {
    const answer = await fetch(`${github}${path}`, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return [...(await answer.text()).matchAll(/href="(\/[^"]*)"/g)].map(([, path]) => path);
  };
  const [repository] = (await links("/")).filter((path) => /^\/[^/_]+\/[^/]+$/.test(path));
  const inside = await links(repository);
  const pulls = new Set(inside.filter((path) => path.includes("/pull/")));
  const [commit] = inside.filter((path) => path.includes("/commit/"));
  return ["/", repository, ...pulls, commit, "/_room"].map((path) => `${github}${path}`);
}

async function look(urls) {
  const script = join(dirname(fileURLToPath(import.meta.url)), "look.mjs");
  const [code] = await once(spawn(process.execPath, [script, folder, ...urls], { stdio: "inherit" }), "exit");
  return code ?? 1;
}
