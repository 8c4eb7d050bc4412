// Saves the paths under the key, unless that is what was restored.
const { execFileSync } = require('child_process');
const fs = require('fs');
const { paths, key, version, archive, call } = require('./cache.js');

async function save() {
  if (process.env.STATE_matched === key) return console.log(`${key} is there already`);
  execFileSync('tar', ['-czf', archive, ...paths]);
  const made = await call('CreateCacheEntry', { key, version });
  if (!made.ok) return console.log(`${key} is kept as it is`);
  const body = fs.readFileSync(archive);
  const put = await fetch(made.signed_upload_url, { method: 'PUT', headers: { 'x-ms-blob-type': 'BlockBlob' }, body });
  if (put.status !== 201) throw new Error(`the archive was answered with ${put.status}`);
  const kept = await call('FinalizeCacheEntryUpload', { key, version, size_bytes: `${body.length}` });
  if (!kept.ok) throw new Error('the archive was not kept');
  console.log(`saved ${key}`);
}

save();
