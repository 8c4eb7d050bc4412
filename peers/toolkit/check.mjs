// Drives the services for actions with npm's `@actions/artifact`, `@actions/cache` and `@actions/core`, as actions use them.
//
// Wants PROGRAM (greenlight), PAGES_URL (a running server's pages) and SCRATCH (a folder) in the environment.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { DefaultArtifactClient } from "@actions/artifact";
import * as cache from "@actions/cache";
import * as core from "@actions/core";
import { as, makeJob, sha256, writeRandom } from "./job.mjs";
import { conclude, step } from "./story.mjs";

const workspace = join(process.env.SCRATCH, "workspace");
const downloads = join(process.env.SCRATCH, "downloads");
mkdirSync(workspace, { recursive: true });
mkdirSync(downloads, { recursive: true });
process.env.GITHUB_WORKSPACE = workspace;
process.env.RUNNER_TEMP = join(process.env.SCRATCH, "temp");
mkdirSync(process.env.RUNNER_TEMP, { recursive: true });
process.chdir(workspace);

const artifacts = new DefaultArtifactClient();
const run = String(Date.now());
const build = makeJob("--run", run);
const deploy = makeJob("--run", run);
const elsewhere = makeJob();

async function upload(job, name, files, options = {}) {
  return as(job, () => artifacts.uploadArtifact(name, files, workspace, { compressionLevel: 0, ...options }));
}

async function download(job, name) {
  const { artifact } = await as(job, () => artifacts.getArtifact(name));
  const path = join(downloads, `${name}-${Date.now()}`);
  const got = await as(job, () => artifacts.downloadArtifact(artifact.id, { path, expectedHash: artifact.digest }));
  assert.ok(!got.digestMismatch, "the digest is the one that was promised");
  return got.downloadPath;
}

// Artifacts.

const small = writeRandom(join(workspace, "small"), "twenty.bin", 20);
writeFileSync(join(workspace, "small", "größe.txt"), "twenty\n");

await step("an artifact of 20 MiB is uploaded", async () => {
  const made = await upload(build, "small", [small, join(workspace, "small", "größe.txt")], { compressionLevel: 6 });
  assert.ok(made.id > 0 && made.size > 20 * 1024 * 1024);
  assert.match(made.digest, /^[0-9a-f]{64}$/);
});

await step("another job of the run lists it", async () => {
  const { artifacts: found } = await as(deploy, () => artifacts.listArtifacts());
  assert.deepEqual(found.map((artifact) => artifact.name), ["small"]);
  assert.match(found[0].digest, /^sha256:[0-9a-f]{64}$/);
  assert.ok(found[0].createdAt instanceof Date);
});

await step("another run does not", async () => {
  const { artifacts: found } = await as(elsewhere, () => artifacts.listArtifacts());
  assert.deepEqual(found, []);
});

await step("it is downloaded as it was", async () => {
  const folder = await download(deploy, "small");
  assert.equal(await sha256(join(folder, "small", "twenty.bin")), await sha256(small));
  assert.equal(readFileSync(join(folder, "small", "größe.txt"), "utf8"), "twenty\n");
});

await step("a name that is taken is refused", async () => {
  const refused = await upload(build, "small", [small]).then(() => null, (error) => error);
  assert.match(String(refused), /409|already/i);
});

await step("it is deleted and written anew", async () => {
  await as(build, () => artifacts.deleteArtifact("small"));
  const gone = await as(build, () => artifacts.listArtifacts());
  assert.deepEqual(gone.artifacts, []);
  writeFileSync(join(workspace, "small", "größe.txt"), "again\n");
  await upload(deploy, "small", [join(workspace, "small", "größe.txt")]);
  // A single file keeps its folder only where there are several.
  const folder = await download(build, "small");
  const { artifacts: found } = await as(build, () => artifacts.listArtifacts({ latest: true }));
  assert.equal(found.length, 1);
  assert.equal(readFileSync(join(folder, "small", "größe.txt"), "utf8"), "again\n");
});

await step("a file goes without an archive", async () => {
  const plain = join(workspace, "report.html");
  writeFileSync(plain, "<p>fine</p>\n");
  await upload(build, "ignored", [plain], { skipArchive: true });
  const { artifacts: found } = await as(build, () => artifacts.listArtifacts());
  const name = found.map((artifact) => artifact.name).find((one) => one !== "small");
  const folder = await download(deploy, name);
  assert.equal(readFileSync(join(folder, basename(plain)), "utf8"), "<p>fine</p>\n");
});

const large = writeRandom(join(workspace, "large"), "three-hundred.bin", 300);
const largeSum = await sha256(large);

await step("an artifact of 300 MiB goes up and comes back", async () => {
  await upload(build, "large", [large]);
  const folder = await download(deploy, "large");
  assert.equal(await sha256(join(folder, "large", "three-hundred.bin")), largeSum);
  rmSync(folder, { recursive: true });
});

// Caches.

const deps = join(workspace, "deps");
const key = `deps-${run}`;
const branch = makeJob("--ref", "refs/heads/main");
const pull = makeJob("--ref", "refs/pull/3/merge", "--base", "main");
const stranger = makeJob("--ref", "refs/pull/3/merge", "--base", "main", "--untrusted");

const save = (job, name, more) => as(job, () => cache.saveCache(["deps"], name, {}, false), more);
const restore = (job, name, prefixes, more) => as(job, () => cache.restoreCache(["deps"], name, prefixes, {}, false), more);

async function restoredSum(job, name, prefixes, more) {
  rmSync(deps, { recursive: true, force: true });
  const found = await restore(job, name, prefixes, more);
  return [found, found && (await sha256(join(deps, "file.bin")))];
}

await step("a cache that is not there is a miss", async () => {
  assert.equal(await restore(branch, `${key}-1`, []), undefined);
});

let sums = {};
await step("a cache of 20 MiB is saved, and restored by its key", async () => {
  sums.one = await sha256(writeRandom(deps, "file.bin", 20));
  assert.ok((await save(branch, `${key}-1`)) > 0);
  assert.deepEqual(await restoredSum(branch, `${key}-1`, []), [`${key}-1`, sums.one]);
});

await step("it is restored by a prefix, the newest one", async () => {
  sums.two = await sha256(writeRandom(deps, "file.bin", 1));
  assert.ok((await save(branch, `${key}-2`)) > 0);
  assert.deepEqual(await restoredSum(branch, `${key}-9`, [`${key}-`]), [`${key}-2`, sums.two]);
});

await step("a cache never changes", async () => {
  writeRandom(deps, "file.bin", 1);
  assert.equal(await save(branch, `${key}-2`), -1);
  assert.deepEqual(await restoredSum(branch, `${key}-2`, []), [`${key}-2`, sums.two]);
});

await step("a pull request reads its base's, and nobody else its own", async () => {
  assert.deepEqual(await restoredSum(pull, `${key}-1`, []), [`${key}-1`, sums.one]);
  writeRandom(deps, "file.bin", 1);
  assert.ok((await save(pull, `${key}-pull`)) > 0);
  assert.equal(await restore(branch, `${key}-pull`, []), undefined);
  assert.equal(await restore(pull, `${key}-pull`, []), `${key}-pull`);
});

await step("nothing trusted reads what a stranger's job saved", async () => {
  writeRandom(deps, "file.bin", 1);
  assert.ok((await save(stranger, `${key}-stranger`)) > 0);
  assert.equal(await restore(pull, `${key}-stranger`, []), undefined);
  assert.equal(await restore(branch, `${key}-stranger`, []), undefined);
});

await step("a cache of 300 MiB goes up in blocks and comes back", async () => {
  sums.large = await sha256(writeRandom(deps, "file.bin", 300));
  assert.ok((await save(branch, `${key}-large`)) > 0);
  assert.deepEqual(await restoredSum(branch, `${key}-large`, []), [`${key}-large`, sums.large]);
});

const ghes = { GITHUB_SERVER_URL: "https://github.acme.example" };
await step("the older protocol does the same", async () => {
  assert.equal(await restore(branch, `${key}-old`, [], ghes), undefined);
  sums.old = await sha256(writeRandom(deps, "file.bin", 40));
  assert.ok((await save(branch, `${key}-old`, ghes)) > 0);
  assert.deepEqual(await restoredSum(branch, `${key}-old`, [], ghes), [`${key}-old`, sums.old]);
  assert.deepEqual(await restoredSum(branch, `${key}-none`, [`${key}-o`], ghes), [`${key}-old`, sums.old]);
});

// Identity.

const decode = (part) => JSON.parse(Buffer.from(part, "base64url"));

await step("an identity token is signed with the key that we publish", async () => {
  const token = await as(build, () => core.getIDToken("sts.example"));
  const [header, claims, signature] = token.split(".");
  assert.equal(decode(claims).aud, "sts.example");
  assert.equal(decode(claims).repository, build.GITHUB_REPOSITORY);
  const { iss } = decode(claims);
  const about = await (await fetch(`${iss}/.well-known/openid-configuration`)).json();
  assert.equal(about.issuer, iss);
  const { keys } = await (await fetch(about.jwks_uri)).json();
  const jwk = keys.find((one) => one.kid === decode(header).kid);
  const text = Buffer.from(`${header}.${claims}`);
  const publicKey = createPublicKey({ key: jwk, format: "jwk" });
  assert.ok(verify("RSA-SHA256", text, publicKey, Buffer.from(signature, "base64url")));
  assert.ok(!verify("RSA-SHA256", Buffer.from(`${header}.x`), publicKey, Buffer.from(signature, "base64url")));
});

await step("a stranger's job has no identity", async () => {
  assert.equal(stranger.ACTIONS_ID_TOKEN_REQUEST_TOKEN, undefined);
  const refused = await as(stranger, () => core.getIDToken()).then(() => null, (error) => error);
  assert.match(String(refused), /ACTIONS_ID_TOKEN_REQUEST/);
});

conclude();
