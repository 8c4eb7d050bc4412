// The calls about artifacts, of the job that the token is for.
const [, claims] = process.env.ACTIONS_RUNTIME_TOKEN.split('.');
const { scp } = JSON.parse(Buffer.from(claims, 'base64url'));
const [, run, job] = scp.split(' ').find((scope) => scope.startsWith('Actions.Results:')).split(':');
const ids = { workflow_run_backend_id: run, workflow_job_run_backend_id: job };

exports.call = async (method, body) => {
  const { origin } = new URL(process.env.ACTIONS_RESULTS_URL);
  const reply = await fetch(`${origin}/twirp/github.actions.results.api.v1.ArtifactService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.ACTIONS_RUNTIME_TOKEN}` },
    body: JSON.stringify({ ...ids, ...body }),
  });
  const said = await reply.text();
  if (!reply.ok) throw new Error(`${method}: ${reply.status} ${said}`);
  return JSON.parse(said);
};
