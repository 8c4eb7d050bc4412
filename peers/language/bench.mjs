// How long npm's `@actions/workflow-parser` takes for one workflow: read and converted, the median of many, in microseconds.

import { readFileSync } from "node:fs";
import { errorsOf } from "./reader.mjs";

const ROUNDS = 400;
const WARM_UP = 100;

const text = readFileSync(process.argv[2], "utf8");
const micros = [];
for (let at = 0; at < WARM_UP + ROUNDS; at++) {
  const began = process.hrtime.bigint();
  const errors = await errorsOf("ci.yml", text);
  if (errors.length > 0) throw new Error(errors.join("\n"));
  if (at >= WARM_UP) micros.push(Number(process.hrtime.bigint() - began) / 1000);
}
micros.sort((left, right) => left - right);
console.log(`package_micros ${Math.round(micros[ROUNDS / 2])}`);
