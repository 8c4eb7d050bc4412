// Drives the emulated GitHub with npm's `octokit`: from a new repository to a deployment, an App's checks, a redelivery.
//
// Wants GITHUB_API_URL, GITHUB_TOKEN, APP_ID and APP_KEY_FILE in the environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { App, Octokit } from "octokit";
import { startReceiver } from "./receiver.mjs";
import { conclude, refused, step, until } from "./story.mjs";

const baseUrl = process.env.GITHUB_API_URL;
const secret = "a secret of the octokit peer";
const context = "peer / octokit";
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl, log: quiet, retry: { enabled: false } });
const { rest } = octokit;
const receiver = await startReceiver(secret);

const owner = await step("the token's user", async () => (await rest.users.getAuthenticated()).data.login);
const repo = `octokit-${Date.now().toString(36)}`;
const here = { owner, repo };

await step("a repository is created with a first commit", async () => {
  const { data } = await rest.repos.createForAuthenticatedUser({ name: repo, auto_init: true });
  assert.equal(data.full_name, `${owner}/${repo}`);
  assert.equal(data.default_branch, "main");
  assert.equal(data.permissions.admin, true);
});

await step("what is not there is a 404 in GitHub's words", async () => {
  const refusal = await refused(404, () => rest.repos.get({ owner, repo: `${repo}-missing` }));
  assert.equal(refusal.response.data.message, "Not Found");
  assert.ok(refusal.response.data.documentation_url);
});

const base = await step("the tip of main", async () => (await rest.git.getRef({ ...here, ref: "heads/main" })).data.object.sha);

const hook = await step("a webhook is made and pinged", async () => {
  const events = ["deployment", "deployment_status", "pull_request", "push", "status"];
  const config = { url: receiver.url, content_type: "json", secret };
  const { data } = await rest.repos.createWebhook({ ...here, config, events });
  const ping = await until("the ping", () => receiver.find("ping"));
  assert.ok(ping.verified, "the ping is signed");
  assert.equal(ping.payload.hook_id, data.id);
  assert.notEqual(data.config.secret, secret, "the secret is not given out");
  return data.id;
});

const head = await step("a branch gets a commit", async () => {
  await rest.git.createRef({ ...here, ref: "refs/heads/topic", sha: base });
  const content = Buffer.from("a greeting\n").toString("base64");
  const { data } = await rest.repos.createOrUpdateFileContents({
    ...here,
    path: "docs/greeting.txt",
    message: "greet",
    content,
    branch: "topic",
  });
  const read = await rest.repos.getContent({ ...here, path: "docs/greeting.txt", ref: "topic" });
  assert.equal(Buffer.from(read.data.content, "base64").toString(), "a greeting\n");
  const push = await until("the push event", () => receiver.find("push", (it) => it.after === data.commit.sha));
  assert.equal(push.payload.ref, "refs/heads/topic");
  assert.equal(push.payload.before, base);
  return data.commit.sha;
});

await step("branches are compared", async () => {
  const { data } = await rest.repos.compareCommitsWithBasehead({ ...here, basehead: "main...topic" });
  assert.deepEqual([data.status, data.ahead_by, data.behind_by], ["ahead", 1, 0]);
  assert.deepEqual(data.files.map((file) => file.filename), ["docs/greeting.txt"]);
});

const pull = await step("a pull request is opened, and the signed webhook tells of it", async () => {
  const { data } = await rest.pulls.create({ ...here, title: "Greet", head: "topic", base: "main", body: "Hello." });
  assert.equal(data.head.sha, head);
  const event = await until("the event", () => receiver.find("pull_request", (it) => it.action === "opened"));
  assert.ok(event.verified, "the delivery is signed");
  assert.equal(event.payload.pull_request.head.sha, head);
  assert.equal(event.payload.repository.full_name, `${owner}/${repo}`);
  return data.number;
});

await step("whether it can be merged is known after a while", async () => {
  const look = async () => (await rest.pulls.get({ ...here, pull_number: pull })).data.mergeable;
  assert.equal(await until("mergeable", look), true);
});

await step("statuses make up the combined one", async () => {
  const combined = async () => (await rest.repos.getCombinedStatusForRef({ ...here, ref: head })).data;
  assert.equal((await combined()).state, "pending", "nothing was said yet");
  await rest.repos.createCommitStatus({ ...here, sha: head, state: "pending", context, description: "on its way" });
  await until("the pending status", async () => (await combined()).total_count === 1);
  await rest.repos.createCommitStatus({ ...here, sha: head, state: "success", context, description: "all good" });
  await until("the success", async () => (await combined()).state === "success");
  const { data } = await rest.repos.listCommitStatusesForRef({ ...here, ref: head });
  assert.deepEqual(data.map((status) => status.state), ["success", "pending"], "the newest comes first");
  await until("its event", () => receiver.find("status", (it) => it.state === "success" && it.sha === head));
});

await step("a status that says too much is refused", async () => {
  const description = "x".repeat(141);
  await refused(422, () => rest.repos.createCommitStatus({ ...here, sha: head, state: "success", context, description }));
});

await step("the pull request is talked about", async () => {
  const { data } = await rest.issues.createComment({ ...here, issue_number: pull, body: "Looks good." });
  await rest.reactions.createForIssueComment({ ...here, comment_id: data.id, content: "+1" });
  const comments = await rest.issues.listComments({ ...here, issue_number: pull });
  assert.deepEqual(comments.data.map((comment) => comment.body), ["Looks good."]);
  await rest.pulls.createReview({ ...here, pull_number: pull, event: "COMMENT", body: "Read it.", commit_id: head });
  const reviews = await rest.pulls.listReviews({ ...here, pull_number: pull });
  assert.deepEqual(reviews.data.map((review) => review.state), ["COMMENTED"]);
});

const merged = await step("the merge is guarded by the head's sha", async () => {
  await refused(409, () => rest.pulls.merge({ ...here, pull_number: pull, sha: base }));
  const { data } = await rest.pulls.merge({ ...here, pull_number: pull, sha: head });
  assert.equal(data.merged, true);
  const event = await until("the closed event", () => receiver.find("pull_request", (it) => it.action === "closed"));
  assert.equal(event.payload.pull_request.merged, true);
  assert.equal(event.payload.pull_request.merge_commit_sha, data.sha);
  const tip = await rest.git.getRef({ ...here, ref: "heads/main" });
  assert.equal(tip.data.object.sha, data.sha);
  return data.sha;
});

await step("a deployment whose contexts are not green is refused", async () => {
  const wanted = { ...here, ref: merged, environment: "staging", auto_merge: false, required_contexts: ["peer / missing"] };
  await refused(409, () => rest.repos.createDeployment(wanted));
});

async function deploy(environment, url) {
  const wanted = { ...here, ref: merged, environment, auto_merge: false, required_contexts: [], payload: { who: "octokit" } };
  const { status, data } = await rest.repos.createDeployment(wanted);
  assert.equal(status, 201);
  const event = await until("the deployment event", () => receiver.find("deployment", (it) => it.deployment.id === data.id));
  assert.deepEqual(event.payload.deployment.payload, { who: "octokit" });
  for (const state of ["queued", "in_progress", "success"]) {
    await rest.repos.createDeploymentStatus({ ...here, deployment_id: data.id, state, environment_url: url });
  }
  return data.id;
}

const states = async (deployment_id) =>
  (await rest.repos.listDeploymentStatuses({ ...here, deployment_id })).data.map((status) => status.state);

await step("a deployment goes through its states", async () => {
  const first = await deploy("staging", "http://127.0.0.1/staging");
  assert.deepEqual(await states(first), ["success", "in_progress", "queued"]);
  const event = await until("the last state's event", () =>
    receiver.find("deployment_status", (it) => it.deployment.id === first && it.deployment_status.state === "success"),
  );
  assert.equal(event.payload.deployment_status.environment_url, "http://127.0.0.1/staging");
  const second = await deploy("staging", "http://127.0.0.1/staging");
  await until("the older one to become inactive", async () => (await states(first))[0] === "inactive");
  assert.equal((await states(second))[0], "success");
  const { data } = await rest.repos.listDeployments({ ...here, environment: "staging" });
  assert.deepEqual(data.map((deployment) => deployment.id), [second, first]);
});

await step("a delivery that failed is delivered again under its own id", async () => {
  receiver.failNext("status");
  await rest.repos.createCommitStatus({ ...here, sha: merged, state: "success", context: "peer / redelivered" });
  const lost = await until("the failing delivery", () => receiver.received.find((delivery) => delivery.answered === 500));
  const failed = await until("its line in the log", async () => {
    const { data } = await rest.repos.listWebhookDeliveries({ ...here, hook_id: hook, per_page: 100 });
    return data.find((delivery) => delivery.guid === lost.id);
  });
  assert.deepEqual([failed.status_code, failed.event, failed.redelivery], [500, "status", false]);
  const { data: whole } = await rest.repos.getWebhookDelivery({ ...here, hook_id: hook, delivery_id: failed.id });
  assert.equal(whole.request.payload.sha, merged);
  const again = await rest.repos.redeliverWebhookDelivery({ ...here, hook_id: hook, delivery_id: failed.id });
  assert.equal(again.status, 202);
  const repeat = await until("the redelivery", () =>
    receiver.received.find((delivery) => delivery.id === lost.id && delivery.answered === 202),
  );
  assert.ok(repeat.verified, "the redelivery is signed");
  await until("its line in the log", async () => {
    const { data } = await rest.repos.listWebhookDeliveries({ ...here, hook_id: hook, per_page: 100 });
    return data.find((delivery) => delivery.guid === lost.id && delivery.redelivery && delivery.status_code === 202);
  });
});

await step("lists come in pages", async () => {
  for (const name of ["one", "two", "three"]) {
    await rest.git.createRef({ ...here, ref: `refs/heads/${name}`, sha: base });
  }
  const branches = await octokit.paginate(rest.repos.listBranches, { ...here, per_page: 2 });
  const names = branches.map((branch) => branch.name).sort();
  assert.deepEqual(names, ["main", "one", "three", "topic", "two"]);
});

await step("an answer that is known costs nothing", async () => {
  const first = await rest.pulls.get({ ...here, pull_number: pull });
  assert.ok(first.headers.etag);
  const headers = { "if-none-match": first.headers.etag };
  await refused(304, () => rest.pulls.get({ ...here, pull_number: pull, headers }));
});

await step("checks are for Apps only", async () => {
  const refusal = await rest.checks.create({ ...here, name: "unit", head_sha: head }).catch((error) => error);
  assert.ok([403, 404].includes(refusal.status), `a personal token got ${refusal.status}`);
});

const app = new App({
  appId: process.env.APP_ID,
  privateKey: readFileSync(process.env.APP_KEY_FILE, "utf8"),
  Octokit: Octokit.defaults({ baseUrl, log: quiet, retry: { enabled: false } }),
  log: quiet,
});

const installed = await step("the App finds its installation", async () => {
  const { data: self } = await app.octokit.rest.apps.getAuthenticated();
  assert.equal(String(self.id), String(process.env.APP_ID));
  const { data } = await app.octokit.rest.apps.getRepoInstallation(here);
  assert.equal(data.account.login, owner);
  return app.getInstallationOctokit(data.id);
});

await step("the installation sees its repositories", async () => {
  const { data } = await installed.rest.apps.listReposAccessibleToInstallation({ per_page: 100 });
  assert.ok(data.repositories.some((repository) => repository.name === repo));
});

await step("a check run goes from queued to completed, with annotations", async () => {
  const { checks } = installed.rest;
  const { data: run } = await checks.create({ ...here, name: "unit", head_sha: head, status: "queued", external_id: "7" });
  await checks.update({ ...here, check_run_id: run.id, status: "in_progress", started_at: new Date().toISOString() });
  const annotation = { path: "docs/greeting.txt", start_line: 1, end_line: 1, annotation_level: "warning", message: "short" };
  const output = { title: "One warning", summary: "It is short.", annotations: [annotation] };
  await checks.update({ ...here, check_run_id: run.id, status: "completed", conclusion: "success", output });
  const { data } = await checks.listForRef({ ...here, ref: head, check_name: "unit" });
  assert.deepEqual([data.total_count, data.check_runs[0].conclusion], [1, "success"]);
  assert.equal(data.check_runs[0].output.annotations_count, 1);
  const annotations = await checks.listAnnotations({ ...here, check_run_id: run.id });
  assert.equal(annotations.data[0].message, "short");
  const suites = await checks.listSuitesForRef({ ...here, ref: head });
  assert.ok(suites.data.check_suites.some((suite) => suite.conclusion === "success"));
});

conclude();
