// Restores what is kept under the key, or under the first of the other keys that has something.
const { execFileSync } = require('child_process');
const fs = require('fs');
const { key, restoreKeys, version, archive, call } = require('./cache.js');

async function restore() {
  const found = await call('GetCacheEntryDownloadURL', { key, restore_keys: restoreKeys, version });
  const matched = found.ok ? found.matched_key : '';
  if (found.ok) {
    const reply = await fetch(found.signed_download_url);
    if (!reply.ok) throw new Error(`the archive was answered with ${reply.status}`);
    fs.writeFileSync(archive, Buffer.from(await reply.arrayBuffer()));
    execFileSync('tar', ['-xzf', archive]);
  }
  console.log(matched ? `restored ${matched}` : 'nothing is kept under these keys');
  const hit = matched === key ? 'true' : matched ? 'false' : '';
  fs.appendFileSync(process.env.GITHUB_OUTPUT, `cache-hit=${hit}\ncache-matched-key=${matched}\n`);
  fs.appendFileSync(process.env.GITHUB_STATE, `matched=${matched}\n`);
}

restore();
