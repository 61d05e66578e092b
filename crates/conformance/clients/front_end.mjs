// The web front end in Chromium, as an approver uses it: STORY says which story is told. BASE is the gateway, LINK signs in, once; SHOTS
// is where pictures go. What else a story takes is in variables of its own. It prints what it found, and fails where a page
// does not do what it should, says something to the console, calls another origin, or is hard to use without eyes or a mouse.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const { BASE: base, LINK: link, SHOTS: shots, STORY: story } = process.env;
const home = mkdtempSync(join(tmpdir(), "gatehouse-front-end-"));
/** What went wrong that no step waits for. */
const faults = [];
const children = [];

function watch(page) {
  // An answer that is a problem document is something that a page shows; all else is a fault.
  const isAnswer = (text) => /the server responded with a status of (400|401|403|404|409|422)/.test(text);
  page.on("console", (message) => {
    const said = message.text();
    if (["error", "warning"].includes(message.type()) && !isAnswer(said)) faults.push(`console: ${said}`);
  });
  page.on("pageerror", (error) => faults.push(`page: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${base}/`) && !url.startsWith(`blob:${base}/`) && !url.startsWith("data:")) faults.push(`it called ${url}`);
  });
}

/** psql through the gateway, with one statement. */
function psql(statement) {
  const [program, ...options] = JSON.parse(process.env.PSQL);
  const child = spawn(program, [...options, "-c", statement], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.on("data", (data) => (said += data));
  return new Promise((resolve) => child.on("close", () => resolve(said)));
}

async function seen(page, text) {
  await page.getByText(text, { exact: false }).first().waitFor({ timeout: 20_000 });
}

/** No page is hard to use for those who do not see it or have no mouse, and none is wider than its window. */
async function fits(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run({ resultTypes: ["violations"] })).violations);
  const grave = found.filter((violation) => ["serious", "critical"].includes(violation.impact));
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], `${name} is accessible`);
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(beyond <= 0, `${name} is ${beyond} px wider than its window`);
}

async function picture(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

/** The request in view takes an answer: it was in view for as long as a look takes. */
async function answerable(page) {
  await page.locator("button.approve:not([disabled])").waitFor({ timeout: 20_000 });
}

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
  env: { ...process.env, HOME: home },
});

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  watch(page);
  return page;
}

/** Signs in by the one-time link. */
async function signIn(page) {
  await page.goto(link);
  await page.click("button");
}

const stories = {
  /** A held write is seen, answered, replayed and proven, without a hand on the mouse where there is a key. */
  async answers() {
    const page = await open();
    // A link to one request survives the sign-in.
    const { REQUEST: request } = process.env;
    await page.goto(`${base}/requests/${request}`);
    await seen(page, "gatehouse login --as user:NAME --link");
    await fits(page, "the sign-in");
    await picture(page, "sign-in");
    await signIn(page);
    await page.waitForURL(`${base}/requests/${request}`);
    await seen(page, "nobody needs this");
    await answerable(page);
    // Whoever types where they think that nothing listens, and presses Enter, has answered nothing.
    await page.keyboard.type("abort this, it is the wrong customer");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.locator(".pick .chip", { hasText: "left" }).waitFor();
    await page.reload();
    await answerable(page);
    await page.keyboard.press("d");
    await page.keyboard.type("not without a ticket");
    await page.keyboard.press("Control+Enter");
    await page.locator(".decide .chip", { hasText: "denied" }).waitFor();

    await page.goto(`${base}/requests`);
    await seen(page, "Nothing waits for an answer");
    await fits(page, "the empty inbox");
    await picture(page, "requests-empty");
    const asked = performance.now();
    const held = psql("update customers set tier = 'gold' where id = 42 -- \u202e for the campaign");
    await seen(page, "updates public.customers");
    const shown = performance.now() - asked;
    await page.locator("mark.danger", { hasText: "update" }).waitFor();
    await page.locator("mark.hidden", { hasText: "U+202E" }).waitFor();
    await seen(page, "Similar decisions");
    await answerable(page);
    await fits(page, "a request");
    await picture(page, "request");
    await page.keyboard.press("a");
    await page.keyboard.type("the campaign is real");
    await page.keyboard.press("Control+Enter");
    await seen(page, "Approved");
    const said = await held;
    assert.ok(said.includes("waits for approval") && !said.includes("ERROR"), said);
    // What was decided stands under its own address, and where decisions stand.
    await page.goto(`${base}/requests?show=decided`);
    await seen(page, "the campaign is real");
    await picture(page, "requests-decided");

    // What is shown stays, whatever comes or goes: an answer is to what was read.
    await page.goto(`${base}/requests`);
    const first = psql("update orders set note = 'first' where id = 1");
    await page.locator(".detail", { hasText: "'first'" }).waitFor();
    const second = psql("update orders set note = 'second' where id = 2");
    await page.locator(".pick", { hasText: "'second'" }).waitFor();
    await page.locator(".detail", { hasText: "'first'" }).waitFor();
    await answerable(page);
    await page.getByRole("button", { name: "Approve" }).dblclick();
    await first;
    await page.locator(".detail .decide .chip", { hasText: "approved" }).waitFor();
    await page.locator(".detail", { hasText: "'first'" }).waitFor();
    await page.getByRole("link", { name: "Next request" }).click();
    await page.locator(".detail", { hasText: "'second'" }).waitFor();
    await answerable(page);
    await page.getByLabel("Reason").fill("one was enough");
    await page.getByRole("button", { name: "Deny" }).click();
    assert.match(await second, /one was enough/);

    // Of a long statement both ends are shown, and it is approved by nobody who has not seen all of it.
    const long = `update orders set note = '${"x".repeat(60_000)}' where id = 3 -- \r or id = 4`;
    await page.goto(`${base}/requests`);
    const third = psql(long);
    await page.locator("mark.hidden", { hasText: "U+000D" }).waitFor();
    await page.getByText("Show all of what would run before you approve it").waitFor();
    await page.waitForTimeout(1_000);
    assert.ok(await page.getByRole("button", { name: "Approve" }).isDisabled(), "unread, it is not approved");
    await picture(page, "request-long");
    await page.getByRole("button", { name: "Show all" }).click();
    await answerable(page);
    await page.getByRole("button", { name: "Deny" }).click();
    assert.match(await third, /was refused by dana/);

    await psql("select id, full_name, email from customers order by id limit 3");
    await page.goto(`${base}/sessions?text=order%20by%20id`);
    await page.getByRole("link", { name: /select id, full_name/ }).click();
    await seen(page, "@masked.example");
    const replayed = await page.locator("main").innerText();
    assert.ok(!/raw\.person|Realname/.test(replayed), "a replay shows what the client saw");
    await fits(page, "a replay");
    await picture(page, "session");
    await page.goto(`${base}/sessions?text=SET%20tier&outcome=approved`);
    await page.getByRole("link", { name: /update customers/ }).click();
    await seen(page, "UPDATE 1");
    await seen(page, "approved");
    // From what was decided one comes to what came of it.
    await page.goto(`${base}/requests?show=decided&state=used&identity=agent:claude`);
    await page.locator(".pick a", { hasText: "updates public.customers" }).click();
    await page.getByRole("link", { name: "What came of it" }).click();
    await page.locator(".event[data-now=true]", { hasText: "UPDATE 1" }).waitFor();

    const task = await page.locator("dd a[href^='/tasks/']").first().innerText();
    await page.goto(`${base}/tasks/${task}`);
    await seen(page, "Asked a person");
    await fits(page, "a task");
    await picture(page, "task");
    await page.getByRole("link", { name: "Export evidence" }).click();
    // What it is about is picked from what there is.
    const about = page.getByRole("combobox", { name: "Task" });
    await about.click();
    await about.fill("");
    await about.pressSequentially(task.slice("tsk-".length, -2));
    await page.getByRole("option", { name: task }).click();
    assert.equal(await about.inputValue(), task);
    const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
    const bundle = join(home, "bundle.tar");
    await saved.saveAs(bundle);
    await page.setInputFiles("input[type=file]", bundle);
    await page.locator(".chip", { hasText: /^sound$/ }).waitFor({ timeout: 20_000 });
    await seen(page, `task ${task}`);
    await fits(page, "the evidence");
    await picture(page, "evidence");
    const changed = readFileSync(bundle);
    const place = changed.indexOf("the campaign is real");
    changed[place] = "T".charCodeAt(0);
    const forged = join(home, "forged.tar");
    writeFileSync(forged, changed);
    await page.setInputFiles("input[type=file]", forged);
    await page.locator(".chip", { hasText: "not sound" }).waitFor({ timeout: 20_000 });
    await picture(page, "evidence-forged");
    return { shown_after_millis: Math.round(shown) };
  },

  /** A task is granted for a part of its time. */
  async grants() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    await page.goto(`${base}/requests/${process.env.REQUEST}`);
    await seen(page, "ticket 7");
    await answerable(page);
    await page.getByLabel("For how long").selectOption("900");
    await fits(page, "a request for a task");
    await picture(page, "request-task");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator(".decide .chip", { hasText: "approved" }).waitFor();
    await seen(page, "shop for 15 min");
    return { done: true };
  },

  /** Every page in every size and both palettes. */
  async pages() {
    const first = await open();
    await signIn(first);
    await first.waitForURL(`${base}/`);
    await seen(first, "What became of operations?");
    const storageState = await first.context().storageState();
    const { SESSION: session, TASK: task } = process.env;
    const paths = {
      overview: "/",
      requests: "/requests",
      tasks: "/tasks",
      task: `/tasks/${task}`,
      sessions: "/sessions",
      session: `/sessions/${session}`,
      operations: "/sessions?outcome=refused",
      policies: "/policies",
      playground: "/policies/playground",
      backtest: "/policies/backtest",
      history: "/policies/history",
      evidence: "/evidence",
      targets: "/targets",
      nowhere: "/sessions/ses-00000000",
    };
    for (const [colorScheme, width, height] of [
      ["light", 1440, 900],
      ["dark", 1440, 900],
      ["light", 360, 740],
      ["dark", 2560, 1300],
    ]) {
      const page = await open({ storageState, colorScheme, viewport: { width, height } });
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(base + path);
        await page.locator("main h1, main [role=alert], main .panel").first().waitFor();
        await page.locator("[role=status] .mantine-Loader-root").waitFor({ state: "detached" });
        await fits(page, `${name} at ${width} px, ${colorScheme}`);
        await picture(page, `${name}-${colorScheme}-${width}`);
      }
      await page.context().close();
    }
    const page = await open({ storageState });
    // By keyboard alone: the first stop leads to the content, and two keys to a place.
    await page.goto(`${base}/tasks`);
    await seen(page, "Every credential belongs to one");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the content");
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await page.waitForURL(/\/requests/);
    await page.keyboard.press("Control+k");
    await page.locator("input[aria-label='Go to']").fill("evid");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${base}/evidence`);
    // Whoever goes by key reads on there.
    await page.waitForFunction(() => document.activeElement?.id === "content");
    // Letters are no keys for whoever does not want them.
    await page.getByRole("button", { name: "Colours and keys" }).click();
    await page.getByRole("menuitem", { name: "Switch letter keys off" }).click();
    await page.locator("[role=menu]").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.getByRole("button", { name: "Colours and keys" }).click();
    await page.getByRole("menuitem", { name: "Switch letter keys on" }).click();
    await page.locator("[role=menu]").waitFor({ state: "detached" });
    assert.equal(page.url(), `${base}/evidence`);
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.waitForURL(`${base}/tasks`);
    return { pages: Object.keys(paths).length };
  },

  /** What would become of a statement, and of what is on record by other policies; what is cut, and what goes wrong. */
  async acts() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    await page.goto(`${base}/policies/playground`);
    await page.getByLabel("Who asks").fill("agent:claude");
    await page.getByLabel("Statement").fill("delete from customers where id = id; select email from customers");
    await page.keyboard.press("Control+Enter");
    await seen(page, "denied");
    await seen(page, "deletes from");
    await fits(page, "an explanation");
    await picture(page, "explained");
    // What was asked stands in the address, for whoever is sent it.
    const link = page.url();
    await page.goto(`${base}/policies/history`);
    await page.goto(link);
    await seen(page, "deletes from");
    await page.getByLabel("Who asks").fill("agent:nobody");
    await page.getByLabel("Statement").fill("select 1");
    await page.keyboard.press("Control+Enter");
    await page.locator("main [role=alert]").waitFor();

    await page.goto(`${base}/policies/backtest`);
    const text = page.getByLabel(/^Text of/);
    await text.fill((await text.inputValue()).replace('@id("agents-read")', '@id("agents-read") @hold("dba")'));
    await page.getByRole("button", { name: "What would change?" }).click();
    await seen(page, "would be decided otherwise");
    await page.locator(".chip", { hasText: "denied" }).first().waitFor();
    await fits(page, "a backtest");
    await picture(page, "backtested");
    await text.fill("permit (principal");
    await page.getByRole("button", { name: "What would change?" }).click();
    await page.locator("main [role=alert]").waitFor();

    // A live session is seen as it goes, and cut.
    const { SESSION: session, TASK: task } = process.env;
    await page.goto(`${base}/sessions/${session}`);
    await seen(page, "pg_sleep");
    await page.getByRole("button", { name: "Kill" }).click();
    await page.getByLabel("Why").fill("it sleeps");
    await page.getByRole("button", { name: "Kill it" }).click();
    await page.locator(".heading .chip", { hasText: "ended" }).waitFor();
    await page.goto(`${base}/tasks/${task}`);
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByLabel("Why").fill("the work is done");
    await fits(page, "a question");
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.locator(".heading .chip", { hasText: "revoked" }).waitFor();
    await seen(page, "user:dana via browser: the work is done");

    // A mistake in a file is said on every page, in the words of `gatehouse check`.
    const { CONFIG: config, MISTAKE: mistake, FAULT: fault } = process.env;
    const good = readFileSync(config, "utf8");
    writeFileSync(config, `${good}${mistake}`);
    await page.locator(".banner", { hasText: fault }).waitFor({ timeout: 30_000 });
    await fits(page, "a fault");
    await picture(page, "fault");
    writeFileSync(config, good);
    await page.locator(".banner").waitFor({ state: "detached", timeout: 30_000 });
    return { done: true };
  },

  /** A session over HTTP is shown as exchanges. */
  async exchanges() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    await page.goto(`${base}/sessions/${process.env.SESSION}`);
    await seen(page, "GET /told/by-the-target");
    await page.locator(".event .chip", { hasText: "200" }).waitFor();
    await page.locator("summary", { hasText: "header" }).click();
    await page.locator(".said", { hasText: "content-type" }).waitFor();
    const archive = await page.getByRole("link", { name: "HTTP archive" }).getAttribute("href");
    const har = await page.evaluate(async (at) => (await fetch(at)).json(), archive);
    assert.equal(har.log.version, "1.2");
    await fits(page, "exchanges");
    await picture(page, "exchanges");
    return { done: true };
  },

  /** A gateway without a target says how to add one. */
  async first() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    await seen(page, "Put a database behind Gatehouse");
    await seen(page, "gatehouse check");
    await fits(page, "the first run");
    await picture(page, "first-run");
    return { done: true };
  },

  /** Somebody who oversees nothing sees nothing that is not theirs, and is told why. */
  async stranger() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    const { SESSION: session, REQUEST: request } = process.env;
    for (const path of [`/sessions/${session}`, `/requests/${request}`]) {
      await page.goto(base + path);
      await page.locator("main [role=alert]", { hasText: "there is no" }).first().waitFor();
    }
    await page.goto(`${base}/policies`);
    await page.locator("main [role=alert]", { hasText: "the policies are for those who oversee a target" }).first().waitFor();
    await page.goto(`${base}/sessions`);
    await seen(page, "There is no such session");
    await page.goto(`${base}/sessions?outcome=refused`);
    await seen(page, "No operation is like that");
    await page.goto(`${base}/`);
    await seen(page, "Nothing was asked in this time");
    return { done: true };
  },
};

try {
  if (shots) mkdirSync(shots, { recursive: true });
  const found = await stories[story]();
  assert.deepEqual(faults, []);
  console.log(JSON.stringify(found));
} catch (error) {
  for (const context of browser.contexts()) {
    for (const page of context.pages()) {
      console.error(`at ${page.url()}:\n${await page.locator("body").innerText().catch(() => "")}`);
      await picture(page, `failed-${story}`).catch(() => undefined);
    }
  }
  console.error(faults.join("\n"));
  throw error;
} finally {
  for (const child of children) child.kill();
  await browser.close();
  rmSync(home, { recursive: true, force: true });
}
