// Asks for an identity token, and sets each of its claims as an output.
const fs = require('fs');

async function claims() {
  const headers = { authorization: `Bearer ${process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}` };
  const reply = await fetch(`${process.env.ACTIONS_ID_TOKEN_REQUEST_URL}&audience=test`, { headers });
  if (!reply.ok) throw new Error(`the token was answered with ${reply.status}`);
  const { value } = await reply.json();
  const found = JSON.parse(Buffer.from(value.split('.')[1], 'base64url'));
  for (const [name, claim] of Object.entries(found)) {
    fs.appendFileSync(process.env.GITHUB_OUTPUT, `${name}=${claim}\n`);
  }
}

claims();
