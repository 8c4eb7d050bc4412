// Greets, and says when: what the manifest promises.
const fs = require('fs');
const who = process.env['INPUT_WHO-TO-GREET'];
if (!who) throw new Error('nobody to greet');
console.log(`Hello ${who}!`);
fs.appendFileSync(process.env.GITHUB_OUTPUT, `time=${new Date().toISOString()}\n`);
