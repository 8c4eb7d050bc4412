// What saving and restoring have in common: the inputs, the archive, and the service's calls.
const { createHash } = require('crypto');
const { join } = require('path');

const lines = (text) => (text || '').split('\n').map((line) => line.trim()).filter(Boolean);
const paths = lines(process.env.INPUT_PATH);

exports.paths = paths;
exports.key = process.env.INPUT_KEY;
exports.restoreKeys = lines(process.env['INPUT_RESTORE-KEYS']);
exports.version = createHash('sha256').update([...paths, 'gzip', '1.0'].join('|')).digest('hex');
exports.archive = join(process.env.RUNNER_TEMP, `cache-${process.pid}.tgz`);

exports.call = async (method, body) => {
  const { origin } = new URL(process.env.ACTIONS_RESULTS_URL);
  const reply = await fetch(`${origin}/twirp/github.actions.results.api.v1.CacheService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.ACTIONS_RUNTIME_TOKEN}` },
    body: JSON.stringify(body),
  });
  const said = await reply.text();
  // A key that is there already is no failure of the job.
  if (reply.status === 409) return { ok: false };
  if (!reply.ok) throw new Error(`${method}: ${reply.status} ${said}`);
  return JSON.parse(said);
};
