// A receiver of webhooks that verifies with @octokit/webhooks and can be told to fail.

import { createServer } from "node:http";
import { Webhooks } from "@octokit/webhooks";

/** Starts a receiver on a free port of the loopback interface. */
export async function startReceiver(secret) {
  const webhooks = new Webhooks({ secret });
  const received = [];
  const failing = new Set();
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString("utf8");
    const event = request.headers["x-github-event"];
    const delivery = {
      id: request.headers["x-github-delivery"],
      event,
      verified: await webhooks.verify(body, request.headers["x-hub-signature-256"] ?? "").catch(() => false),
      payload: JSON.parse(body),
    };
    received.push(delivery);
    delivery.answered = failing.delete(event) ? 500 : 202;
    response.writeHead(delivery.answered).end();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    received,
    /** Answers 500 to the next delivery of this event. */
    failNext: (event) => failing.add(event),
    /** Returns the first delivery of an event that fits, if it has come. */
    find: (event, fits = () => true) => received.find((delivery) => delivery.event === event && fits(delivery.payload)),
  };
}
