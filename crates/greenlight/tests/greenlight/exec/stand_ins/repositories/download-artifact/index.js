// Downloads one artifact into a folder, or all of the run into a folder each: with the protocol of the fourth version, whichever
// one is asked for.
const { execFileSync } = require('child_process');
const fs = require('fs');
const { join } = require('path');
const { call } = require('./artifact.js');

async function fetchInto(name, folder) {
  const { signed_url: url } = await call('GetSignedArtifactURL', { name });
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${name} was answered with ${reply.status}`);
  fs.mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-xzf', '-', '-C', folder], { input: Buffer.from(await reply.arrayBuffer()) });
  console.log(`downloaded ${name} into ${folder}`);
}

async function download() {
  const to = process.env.INPUT_PATH || '.';
  if (process.env.INPUT_NAME) return fetchInto(process.env.INPUT_NAME, to);
  const { artifacts = [] } = await call('ListArtifacts', {});
  if (!artifacts.length) throw new Error('the run has no artifacts');
  for (const { name } of artifacts) await fetchInto(name, join(to, name));
}

download();
