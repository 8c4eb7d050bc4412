// Puts the Node that runs this before all others: there is no other one to be had without a network.
const fs = require('fs');
const { dirname } = require('path');
if (!process.env['INPUT_NODE-VERSION']) throw new Error('no version is asked for');
fs.appendFileSync(process.env.GITHUB_PATH, `${dirname(process.execPath)}\n`);
