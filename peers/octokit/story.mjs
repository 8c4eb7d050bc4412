// What a check says and how it waits: every check is a named step, printed when it held.

import assert from "node:assert/strict";

const DEADLINE_MS = 20_000;
const PAUSE_MS = 50;

let passed = 0;

/** Runs one step and prints its name; a step that fails ends the program. */
export async function step(name, action) {
  try {
    const result = await action();
    passed += 1;
    console.log(`ok      ${name}`);
    return result;
  } catch (error) {
    console.log(`FAILED  ${name}`);
    console.log(error.stack ?? String(error));
    if (error.response) console.log(`        ${error.status} ${JSON.stringify(error.response.data)}`);
    console.log(`test result: FAILED. ${passed} passed; 1 failed;`);
    process.exit(1);
  }
}

/** Returns what `look` returns as soon as that is something; fails when it stays nothing. */
export async function until(what, look) {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    const found = await look();
    if (found) return found;
    await new Promise((resume) => setTimeout(resume, PAUSE_MS));
  }
  throw new Error(`${what} did not come within ${DEADLINE_MS / 1000} s`);
}

/** Fails unless `action` is refused with `status`; returns the refusal. */
export async function refused(status, action) {
  const refusal = await action().then(
    () => null,
    (error) => error,
  );
  assert.ok(refusal, `expected a ${status}, but it went through`);
  assert.equal(refusal.status, status, refusal.message);
  return refusal;
}

export function conclude() {
  console.log(`test result: ok. ${passed} passed; 0 failed;`);
  process.exit(0);
}
