// Checks what an action sees of its job.
const need = (name, expected) => {
  const value = process.env[name];
  if (!value || (expected && value !== expected)) {
    console.log(`::error::${name} is ${value}`);
    process.exitCode = 1;
  }
};
for (const name of ['GITHUB_ACTION', 'GITHUB_WORKSPACE', 'GITHUB_REPOSITORY', 'GITHUB_SHA', 'GITHUB_ENV', 'RUNNER_TEMP', 'RUNNER_TOOL_CACHE', 'HOME']) need(name);
need('GITHUB_ACTIONS', 'true');
need('GITHUB_EVENT_NAME', 'push');
need('RUNNER_OS', 'Linux');
