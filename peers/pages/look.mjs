// Looks at pages with Debian's Chromium: `look.mjs FOLDER URL…` takes a picture of each in every setting, and lets axe
// judge whether everybody can use it.
//
// A page that answers with an error, says something on the console, asks another host, is wider than the window or breaks a
// rule of axe's for WCAG 2.2 AA fails. Without JavaScript it has to show its heading and some text in `main`. CHROMIUM names
// the browser where it is not /usr/bin/chromium.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const SETTINGS = [
  { name: "wide", viewport: { width: 1280, height: 900 }, colorScheme: "light", javaScriptEnabled: true },
  { name: "dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark", javaScriptEnabled: true },
  { name: "narrow", viewport: { width: 360, height: 740 }, colorScheme: "light", javaScriptEnabled: true },
  { name: "plain", viewport: { width: 1280, height: 900 }, colorScheme: "light", javaScriptEnabled: false },
];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const PAGE_TIMEOUT_MS = 20_000;
const REST_TIMEOUT_MS = 2_000;

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [folder, ...urls] = process.argv.slice(2);
if (!folder || urls.length === 0) {
  console.error("usage: look.mjs FOLDER URL…");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
let passed = 0;
let failed = 0;
for (const [index, url] of urls.entries()) {
  for (const setting of SETTINGS) {
    const picture = `${String(index + 1).padStart(2, "0")}-${fileName(url)}-${setting.name}.png`;
    const faults = await look(url, setting, join(folder, picture));
    faults.length === 0 ? (passed += 1) : (failed += 1);
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"}  ${setting.name} ${url}`);
    for (const fault of faults) console.log(`        ${fault}`);
  }
}
await browser.close();
console.log(`test result: ${failed === 0 ? "ok" : "FAILED"}. ${passed} passed; ${failed} failed;`);
process.exit(failed === 0 ? 0 : 1);

/** Returns what is wrong with one page in one setting. */
async function look(url, { name: _, ...setting }, picture) {
  const context = await browser.newContext({ ...setting, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(PAGE_TIMEOUT_MS);
  const faults = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    const isOwn = asked.protocol === "data:" || asked.host === new URL(url).host;
    if (!isOwn) faults.push(`asks another host: ${asked.host}`);
  });
  try {
    // A page with a live log goes on until the job has ended, so it is looked at while it still comes.
    const answer = await page.goto(url, { waitUntil: "commit" });
    if (!answer.ok()) faults.push(`answers ${answer.status()}`);
    await page.locator("h1").first().waitFor();
    await page.waitForLoadState("load", { timeout: REST_TIMEOUT_MS }).catch(() => {});
    await page.screenshot({ path: picture, fullPage: true });
    faults.push(...(setting.javaScriptEnabled ? await judge(page) : await readable(page)));
  } catch (error) {
    faults.push(error.message.split("\n")[0]);
  } finally {
    await context.close();
  }
  return faults;
}

async function judge(page) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  const faults = overflow > 0 ? [`is ${overflow} pixels wider than the window`] : [];
  await page.evaluate(axe);
  const { violations } = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), RULES);
  return [...faults, ...violations.map((it) => `axe ${it.id}: ${it.help} (${it.nodes[0].target.join(" ")})`)];
}

async function readable(page) {
  const text = await page.locator("main").first().innerText();
  return text.trim() === "" ? ["shows nothing without JavaScript"] : [];
}

function fileName(url) {
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "home";
}
