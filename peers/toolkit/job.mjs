// A job on a running server: its variables, and the files that it works with.

import { execFileSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { createReadStream, mkdirSync, openSync, writeSync, closeSync } from "node:fs";
import { join } from "node:path";

const MIB = 1 << 20;

/** Makes a job of its own on the server, and returns its variables. */
export function makeJob(...options) {
  const { PROGRAM, PAGES_URL } = process.env;
  const told = execFileSync(PROGRAM, ["dev", "job-env", "--json", "--server", PAGES_URL, ...options], { encoding: "utf8" });
  return JSON.parse(told);
}

/** Does something as this job: the clients read their variables when they are called. */
export async function as(job, action, more = {}) {
  const variables = { ...job, ...more };
  const before = Object.keys(variables).map((name) => [name, process.env[name]]);
  Object.assign(process.env, variables);
  for (const name of ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]) {
    if (!(name in variables)) delete process.env[name];
  }
  try {
    return await quietly(action);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** The clients tell a lot, tokens to be masked among it: it is shown where they fail. */
async function quietly(action) {
  const write = process.stdout.write;
  const said = [];
  process.stdout.write = (text, ...rest) => {
    if (!String(text).startsWith("::add-mask::")) said.push(String(text));
    const done = rest.find((one) => typeof one === "function");
    done?.();
    return true;
  };
  try {
    return await action();
  } catch (error) {
    error.stack += `\n${said.join("")}`;
    throw error;
  } finally {
    process.stdout.write = write;
  }
}

/** Writes a file of random bytes, which no compression makes smaller. */
export function writeRandom(folder, name, mebibytes) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  const file = openSync(path, "w");
  const block = Buffer.alloc(MIB);
  for (let at = 0; at < mebibytes; at += 1) writeSync(file, randomFillSync(block));
  closeSync(file);
  return path;
}

/** Returns the SHA-256 of a file. */
export async function sha256(path) {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest("hex");
}
