// Chromium at the page in BASE: prints what the page finds, as JSON. WEB_USER and WEB_PASSWORD are for whoever asks for them,
// RESOLVE says where a name leads. Where HTTPS_PROXY is set, the browser uses it, and believes whom Node is told to believe.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// A module's own imports are not looked up in NODE_PATH.
const { chromium } = createRequire(import.meta.url)("playwright-core");

const { BASE: base, WEB_USER: username, WEB_PASSWORD: password, HTTPS_PROXY: proxy } = process.env;
const { RESOLVE: resolve, NODE_EXTRA_CA_CERTS: authority } = process.env;
const home = mkdtempSync(join(tmpdir(), "gatehouse-browser-"));

/** Where Chromium looks for whom its user believes. */
function believe(file) {
  const folder = join(home, ".pki", "nssdb");
  mkdirSync(folder, { recursive: true });
  const database = ["-d", `sql:${folder}`];
  execFileSync("certutil", ["-N", "--empty-password", ...database]);
  execFileSync("certutil", ["-A", "-n", "gatehouse", "-t", "C,,", "-i", file, ...database]);
}

function throughProxy() {
  const { origin, username, password } = new URL(proxy);
  return { server: origin, username, password, bypass: "<-loopback>" };
}

try {
  if (authority) believe(authority);
  const flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"];
  if (resolve) flags.push(`--host-resolver-rules=${resolve}`);
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: flags,
    env: { ...process.env, HOME: home, HTTPS_PROXY: "", HTTP_PROXY: "", https_proxy: "", http_proxy: "" },
    ...(proxy && { proxy: throughProxy() }),
  });
  const page = await browser.newPage();
  // As somebody would type it, for what a tool does about logins keeps a browser from its own ways. A page may not ask by an
  // address that has them.
  if (username) await page.goto(Object.assign(new URL(base), { username, password }).href);
  await page.goto(base, { waitUntil: "load" });
  const report = await page.evaluate(() => window.report());
  await Promise.all([page.waitForURL(/done/), page.evaluate(() => document.querySelector("#form").submit())]);
  report.form = [await page.title(), new URL(page.url()).search];
  await page.goBack({ waitUntil: "load" });
  await Promise.all([page.waitForURL(/there/), page.click("#moved")]);
  report.followed = await page.title();
  console.log(JSON.stringify(report, null, 2));
  await browser.close();
} finally {
  rmSync(home, { recursive: true, force: true });
}
