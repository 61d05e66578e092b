// The web front end in Chromium, as an approver uses it: STORY says which story is told. BASE is the gateway, LINK signs in, once; SHOTS
// is the folder of this story's pictures. What else a story takes is in variables of its own. It prints what it found, and fails
// where a page does not do what it should, says something to the console, calls another origin, or is hard to use without eyes
// or a mouse.
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

/** What a cell says, by what stands over it. */
const CELLS = {
  Task: /^tsk-[a-z0-9]+$/,
  Session: /^ses-[a-z0-9]+$/,
  State: /^(live|ended|done|expired|revoked|abandoned)$/,
  Who: /^(agent|user):\S+( for user:\S+)?$/,
  Began: /^(now|.+ ago)$/,
  Opened: /^(now|.+ ago)$/,
  Ends: /^(ends|ended) (now|in .+|.+ ago)$/,
  Operations: /^[\d,]+$/,
  Refused: /^refused [\d,]+$/,
  Rows: /^[\d,]+$/,
  Protocol: /^(postgres|http|mcp)$/,
  Verdict: /^(allowed|held|refused)$/,
  Root: /^[\w+/=]+$/,
};

/** The tables of a page that have heads, as they stand there. */
function tablesOf(page) {
  return page.locator("main table.grid:has(thead)").evaluateAll((found) =>
    found.map((table) => ({
      heads: [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim()),
      rows: [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim())),
      isCut: table.matches(".stacked") && table.parentElement.scrollWidth > table.parentElement.clientWidth,
    })),
  );
}

/** What stands in a table's column, from the top down, once there is a row. */
async function column(page, head) {
  await page.locator("main table.grid:has(thead) tbody tr").first().waitFor({ timeout: 20_000 });
  const found = (await tablesOf(page)).find(({ heads }) => heads.includes(head));
  assert.ok(found, `a table has a column ${head}`);
  return found.rows.map((cells) => cells[found.heads.indexOf(head)]);
}

/** Each cell of each table stands under its own head, and in view. */
async function stands(page, name) {
  for (const { heads, rows, isCut } of await tablesOf(page)) {
    assert.ok(!isCut, `${name}: the table of ${heads[0]} has all of its columns in view`);
    for (const cells of rows) {
      assert.equal(cells.length, heads.length, `${name}: ${heads} over ${cells}`);
      for (const [place, said] of cells.entries()) assert.match(said, CELLS[heads[place]] ?? /^/, `${name}: ${heads[place]}`);
    }
  }
}

/** No page is hard to use for those who do not see it or have no mouse, and none is wider than its window. */
async function fits(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run({ resultTypes: ["violations"] })).violations);
  const grave = found.filter((violation) => ["serious", "critical"].includes(violation.impact));
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], `${name} is accessible`);
  await inWidth(page, name);
  await stands(page, name);
}

async function inWidth(page, name) {
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(beyond <= 0, `${name} is ${beyond} px wider than its window`);
}

/** Waits until something is so in the page. */
const until = (page, isSo, given) => page.waitForFunction(isSo, given, { timeout: 20_000 });

async function picture(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

/** Pictures in both palettes, of what `look` finds right in each. */
async function inBoth(page, file, look = async () => undefined) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await inPalette(page, colorScheme);
    await look(colorScheme);
    await picture(page, `${file}-${colorScheme}`);
  }
}

/** The same of a page that fits. */
const fitsInBoth = (page, name, file) => inBoth(page, file, (colorScheme) => fits(page, `${name}, ${colorScheme}`));

async function inPalette(page, colorScheme) {
  await page.locator(`html[data-mantine-color-scheme=${colorScheme}]`).waitFor({ state: "attached", timeout: 20_000 });
}

/** Has the page keep what the gateway tells it of changes, in `told`. */
async function keepTold(page) {
  await page.addInitScript(() => {
    window.told = [];
    window.EventSource = class extends window.EventSource {
      constructor(...given) {
        super(...given);
        // Before the page itself hears of it.
        this.addEventListener("message", ({ data }) => window.told.push(JSON.parse(data)));
      }
    };
  });
}

/** Whether a page asks for what waits for an answer. */
const isOfOpen = (url) => url.pathname === "/api/v1/requests" && url.searchParams.get("state") === "open";

/**
 * Until the gateway tells the page of another request than this one, whatever asks for what waits is answered that nothing
 * does: what polls finds nothing, and what comes has come by the live stream.
 */
async function onlyTold(page, but) {
  await page.locator(".side .live[data-on=true]").waitFor({ timeout: 20_000 });
  await page.route(isOfOpen, async (route) => {
    const isTold = (known) => window.told.some(({ kind, id }) => kind === "request" && id !== known);
    if (await page.evaluate(isTold, but)) await route.continue();
    else await route.fulfill({ json: [] });
  });
}

/** Takes a bundle out, under the name that it is to have, and has it verified; where it lies. */
async function exported(page, name) {
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  assert.equal(saved.suggestedFilename(), name);
  const bundle = join(home, name);
  await saved.saveAs(bundle);
  await page.setInputFiles("input[type=file]", bundle);
  await page.locator(".chip", { hasText: /^sound$/ }).waitFor({ timeout: 20_000 });
  return bundle;
}

/** What the address of a page is of. */
const idOf = (page) => new URL(page.url()).pathname.split("/").at(-1);

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

/** A request says who asks for whom, with which values, and what it would touch; a task what it may use up, and a moment its address. */
async function says(page) {
  const { SESSION: session, TASK: task, REQUEST: request } = process.env;
  await page.goto(`${base}/requests/${request}`);
  const facts = await page.locator("[aria-label='Who and why'] dl").evaluate((list) => {
    const names = [...list.querySelectorAll("dt")];
    return Object.fromEntries(names.map((name) => [name.textContent, name.nextElementSibling.textContent]));
  });
  assert.deepEqual([facts.Asks, facts["On behalf of"]], ["agent:claude", "user:sam"]);
  const values = await page.locator("[aria-label='Bind values'] tr").allTextContents();
  assert.deepEqual(values, ["$1'gold'", "$2'3'"]);
  const touched = page.locator("[aria-label='Blast radius'] li");
  await touched.filter({ hasText: "public.customers has about 200 rows" }).waitFor();
  await touched.filter({ hasText: "the planner expects this UPDATE to touch about 1 row" }).waitFor();

  await page.goto(`${base}/tasks/${task}`);
  for (const [name, shown] of [["Operations", /^[1-9]\d* of 50$/], ["Rows", /^[1-9]\d* of 1,000$/]]) {
    assert.match(await page.getByRole("meter", { name }).getAttribute("aria-valuetext"), shown, name);
  }

  await page.goto(`${base}/sessions/${session}`);
  await page.getByRole("link", { name: "Link to this moment" }).first().click();
  await page.locator(".event[data-now=true]").waitFor();
  const link = page.url();
  assert.match(link, /\?at=\d+$/);
  await page.goto(`${base}/tasks`);
  assert.deepEqual(await column(page, "State"), ["live", "live"]);
  await page.goto(link);
  await page.locator(".event[data-now=true]").waitFor();
}

/** What sessions are narrowed by stands in their address. */
async function filters(page) {
  const shown = async (search) => {
    await page.goto(`${base}/sessions?${search}`);
    const [who, state] = [await column(page, "Who"), await column(page, "State")];
    return who.map((name, place) => `${name}, ${state[place]}`).sort();
  };
  const [ended, live] = ["agent:claude, ended", "agent:claude for user:sam, live"];
  assert.deepEqual(await shown("identity=agent:claude&target=shop&state=ended&hours=1"), [ended, ended, ended]);
  assert.equal(await page.getByRole("textbox", { name: "Identity" }).inputValue(), "agent:claude");
  assert.deepEqual(await shown("identity=user:sam"), [live]);
  assert.deepEqual(await shown("state=live"), [live]);
  assert.deepEqual(await shown("class=email"), [ended]);
  for (const nobody of ["identity=agent:nobody", "hours=between&until=2001-01-01T00:00:00.000Z"]) {
    await page.goto(`${base}/sessions?${nobody}`);
    await seen(page, "There is no such session");
  }
}

/** The ids of the sessions that are listed, from the top down. */
const listed = (page) => page.locator("main table.grid tbody tr").evaluateAll((rows) => rows.map((row) => row.cells[0].textContent.trim()));

/** Goes down to the end of what one part of a listing has, which loads as it comes into view; the ids of its rows. */
async function wholePart(page) {
  for (;;) {
    const count = (await listed(page)).length;
    if ((await page.locator("main .more").count()) === 0) return listed(page);
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    const isFurther = (before) =>
      document.querySelectorAll("main table.grid tbody tr").length > before || !document.querySelector("main .more");
    await until(page, isFurther, count);
  }
}

/** Goes to where a link between parts of a listing leads, until something else is listed. */
async function toPart(page, link) {
  const [first] = await listed(page);
  await page.getByRole("link", { name: link }).click();
  await until(page, (before) => document.querySelector("main table.grid tbody td")?.textContent.trim() !== before, first);
}

/** A page says who works in these words, and which task theirs came from. */
async function saysChain(page, chain, parent) {
  await seen(page, chain);
  await page.locator("dd", { hasText: parent }).first().waitFor({ timeout: 20_000 });
}

/** So many rows are drawn at a time. */
const ROWS_MAX = 500;

const stories = {
  /** A held write is seen, answered, replayed and proven, without a hand on the mouse where there is a key. */
  async answers() {
    const page = await open();
    await keepTold(page);
    // A link to one request survives the sign-in.
    const { REQUEST: request } = process.env;
    await page.goto(`${base}/requests/${request}`);
    await seen(page, "gatehouse login --as user:NAME --link");
    await fitsInBoth(page, "the sign-in", "sign-in");
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
    await onlyTold(page, request);
    const asked = performance.now();
    const held = psql("update customers set tier = 'gold' where id = 42 returning id, tier -- \u202e for the campaign");
    await seen(page, "updates public.customers");
    const shown = performance.now() - asked;
    await page.unroute(isOfOpen);
    await page.locator("mark.danger", { hasText: "update" }).waitFor();
    await page.locator("mark.hidden", { hasText: "U+202E" }).waitFor();
    await seen(page, "Similar decisions");
    await answerable(page);
    const told = await page.evaluate(() => window.told.map(({ id }) => id));
    assert.ok(told.includes(idOf(page)), `${idOf(page)} is among ${told}`);
    await fitsInBoth(page, "a request", "request");
    await page.keyboard.press("a");
    await page.keyboard.type("the campaign is real");
    await page.keyboard.press("Control+Enter");
    await seen(page, "Approved");
    const said = await held;
    assert.ok(said.includes("waits for approval") && !said.includes("ERROR"), said);
    // What was approved has run, and its answer came.
    assert.match(said, /^42\|gold$/m);
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
    // But for whoever goes to the next by a key, and back.
    await page.keyboard.press("j");
    await page.locator(".detail", { hasText: "'second'" }).waitFor();
    await page.keyboard.press("k");
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
    // What was decided of the like stands beside it, with the reason.
    await page.locator("[aria-label='Before you decide'] li", { hasText: "one was enough" }).waitFor();
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
    await fits(page, "a moment of a replay");
    const session = idOf(page);

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
    const bundle = await exported(page, `evidence-${task}.tar`);
    await seen(page, `task ${task}`);
    await fitsInBoth(page, "the evidence", "evidence");
    const changed = readFileSync(bundle);
    const place = changed.indexOf("the campaign is real");
    changed[place] = "T".charCodeAt(0);
    const forged = join(home, "forged.tar");
    writeFileSync(forged, changed);
    await page.setInputFiles("input[type=file]", forged);
    await page.locator(".chip", { hasText: "not sound" }).waitFor({ timeout: 20_000 });
    await picture(page, "evidence-forged");
    // By a session or a time it is taken out likewise.
    await page.goto(`${base}/evidence?session=${session}`);
    await exported(page, `evidence-${session}.tar`);
    await seen(page, `session ${session}`);
    await page.goto(`${base}/evidence`);
    await page.getByText("A time", { exact: true }).click();
    await exported(page, "evidence-time.tar");
    await page.locator("dd", { hasText: /^from .+ until / }).waitFor();
    // The journal was signed more than once meanwhile, each time with more in it.
    await page.locator("summary", { hasText: "checkpoints, the newest first" }).click();
    const sizes = (await column(page, "Records")).map((size) => Number(size.replaceAll(",", "")));
    assert.ok(sizes.length > 1 && sizes.every((size, place) => place === 0 || size < sizes[place - 1]), `${sizes}`);
    await fits(page, "the checkpoints");
    await picture(page, "checkpoints");
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
    const { SESSION: session, TASK: task, REQUEST: request } = process.env;
    const paths = {
      overview: "/",
      requests: "/requests",
      request: `/requests/${request}`,
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
    const all = Object.keys(paths);
    // Where something is decided is looked at in every size and palette.
    for (const [colorScheme, width, height, names] of [
      ["light", 1440, 900, all],
      ["dark", 1440, 900, all],
      ["light", 360, 740, all],
      ["dark", 360, 740, ["requests", "request"]],
      ["light", 2560, 1300, ["requests", "request"]],
      ["dark", 2560, 1300, all],
    ]) {
      const page = await open({ storageState, colorScheme, viewport: { width, height } });
      for (const name of names) {
        const path = paths[name];
        await page.goto(base + path);
        await page.locator("main h1, main [role=alert], main .panel").first().waitFor();
        if (name === "request") await page.locator(".detail article").waitFor();
        await page.locator("[role=status] .mantine-Loader-root").waitFor({ state: "detached" });
        await fits(page, `${name} at ${width} px, ${colorScheme}`);
        await picture(page, `${name}-${colorScheme}-${width}`);
      }
      await page.context().close();
    }
    const page = await open({ storageState });
    await says(page);
    await filters(page);
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
    // Whoever wants the other palette has it, whatever their system says.
    for (const [word, colorScheme] of [["Dark", "dark"], ["As the system", "light"]]) {
      await page.getByRole("button", { name: "Colours and keys" }).click();
      await page.getByRole("menuitem", { name: word }).click();
      await page.locator("[role=menu]").waitFor({ state: "detached" });
      await inPalette(page, colorScheme);
    }
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.waitForURL(`${base}/tasks`);
    return { pages: all.length };
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
    await seen(page, "refused");
    await seen(page, "deletes from");
    await fitsInBoth(page, "an explanation", "explained");
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
    await page.locator(".chip", { hasText: "refused" }).first().waitFor();
    await fitsInBoth(page, "a backtest", "backtested");
    await text.fill("permit (principal");
    await page.getByRole("button", { name: "What would change?" }).click();
    await page.locator("main [role=alert]").waitFor();

    // A live session is seen as it goes, and cut.
    const { SESSION: session, TASK: task, OTHER: other } = process.env;
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
    // What is ended was not taken away.
    await page.goto(`${base}/tasks/${other}`);
    await page.getByRole("button", { name: "End", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await page.locator(".heading .chip", { hasText: "done" }).waitFor();
    await page.goto(`${base}/tasks?state=all`);
    assert.deepEqual((await column(page, "State")).sort(), ["done", "revoked"]);

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

  /** Ten thousand sessions are looked through from the newest to the oldest, and no page draws more of them than it can. */
  async many() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    const begun = performance.now();
    await page.goto(`${base}/sessions`);
    await page.locator("main table.grid tbody tr").first().waitFor({ timeout: 20_000 });
    const shown = performance.now() - begun;
    await inBoth(page, "sessions-many");
    const found = await wholePart(page);
    assert.equal(found.length, ROWS_MAX);
    await fits(page, "many sessions");
    let parts = 1;
    while ((await page.locator("main a[rel=next]").count()) > 0) {
      await toPart(page, "Go to older ones");
      const ids = await wholePart(page);
      assert.ok(ids.length <= ROWS_MAX, `${ids.length} rows are drawn at a time`);
      found.push(...ids);
      parts += 1;
    }
    const { SESSIONS: sessions, OLDEST: oldest } = process.env;
    assert.equal(found.length, Number(sessions));
    assert.equal(new Set(found).size, found.length, "no session is listed twice");
    assert.equal(found.at(-1), oldest);
    await fitsInBoth(page, "the oldest sessions", "sessions-oldest");
    // Whoever narrows it begins with the newest of what is left.
    await page.getByRole("textbox", { name: "Identity" }).fill("agent:other");
    await page.waitForURL((url) => url.searchParams.get("identity") === "agent:other" && !url.searchParams.has("before"));
    const isOfOther = () => {
      const rows = [...document.querySelectorAll("main table.grid tbody tr")];
      return rows.length > 1 && rows.every((row) => row.cells[2].textContent === "agent:other");
    };
    await until(page, isOfOther);
    assert.equal((await wholePart(page)).length, Number(process.env.OF_OTHER));
    // What was said is found among all of it.
    await page.goto(`${base}/sessions`);
    await page.getByRole("textbox", { name: "Text" }).fill("where id = 4200");
    await seen(page, "Operations that match");
    await page.locator(".event mark", { hasText: "where id = 4200" }).waitFor();
    assert.equal(await page.locator(".event").count(), 1);
    await fitsInBoth(page, "what was found among many", "sessions-found");
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${base}/sessions`);
    await page.locator("main table.grid tbody tr").first().waitFor({ timeout: 20_000 });
    await fits(page, "many sessions at 360 px");
    // The oldest is opened as any other.
    await page.goto(`${base}/sessions/${oldest}`);
    await seen(page, "count(*) from orders");
    return { shown_after_millis: Math.round(shown), parts };
  },

  /** A statement of two megabytes is read in whole before it is approved, and the page goes on meanwhile. */
  async long() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    const { REQUEST: request, MIDDLE: middle } = process.env;
    await page.goto(`${base}/requests/${request}`);
    await page.getByText(/^Of 2\.\d MiB these are the beginning and the end/).waitFor({ timeout: 20_000 });
    const text = page.getByRole("group", { name: "Statement" });
    const length = () => text.evaluate((box) => box.textContent.length);
    assert.ok((await length()) < 30_000, "it is shown shortened");
    assert.ok((await page.locator(".pick").evaluate((list) => list.textContent.length)) < 5_000, "and in the list");
    assert.ok(!(await text.textContent()).includes(middle), "what is in its middle is not shown yet");
    // It was in view for as long as a look takes, and still is not approved unread.
    await page.locator(".decide button:not([disabled])", { hasText: "Deny" }).waitFor();
    await page.getByText("Show all of what would run before you approve it").waitFor();
    assert.ok(await page.getByRole("button", { name: "Approve" }).isDisabled());
    await fitsInBoth(page, "a very long statement", "long");
    const begun = performance.now();
    await page.getByRole("button", { name: "Show all" }).click();
    await until(page, () => document.querySelector("pre.statement").textContent.length > 2_000_000);
    const shown = performance.now() - begun;
    assert.ok((await text.textContent()).includes(middle), "all of it is there to be read");
    await page.locator(".below", { hasText: /^[\d,]+ more lines below$/ }).waitFor();
    await inBoth(page, "long-whole", () => inWidth(page, "a very long statement in whole"));
    // Whoever writes why is heard letter by letter.
    const reason = page.getByLabel("Reason");
    await reason.pressSequentially("all of it was read");
    assert.equal(await reason.inputValue(), "all of it was read");
    await answerable(page);
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator(".decide .chip", { hasText: "approved" }).waitFor({ timeout: 20_000 });
    // What came of it is one operation, however long its statement is. The note in the corner is in the way of it for a while.
    await page.locator(".mantine-Notification-closeButton").click();
    await page.getByRole("link", { name: "What came of it" }).click({ timeout: 20_000 });
    await page.locator(".event[data-now=true]", { hasText: "UPDATE 1" }).waitFor({ timeout: 20_000 });
    await page.locator(".strip", { hasText: /1 operation over/ }).waitFor();
    await fitsInBoth(page, "the replay of a very long statement", "long-replay");
    return { whole_after_millis: Math.round(shown) };
  },

  /** Who sent whoever works, and for whom, is said wherever that matters. */
  async chain() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    const { REQUEST: request, TASK: task, SESSION: session, PARENT: parent } = process.env;
    const chain = "agent:claude, sent by agent:planner, on behalf of user:sam";
    for (const [name, path] of [
      ["request", `/requests/${request}`],
      ["task", `/tasks/${task}`],
      ["session", `/sessions/${session}`],
    ]) {
      await page.goto(base + path);
      await saysChain(page, chain, parent);
      await fitsInBoth(page, `the chain of a ${name}`, `chain-${name}`);
    }
    // The task that it came from was sent by nobody.
    await page.getByRole("link", { name: parent }).click();
    await page.waitForURL(`${base}/tasks/${parent}`);
    await seen(page, "agent:planner, on behalf of user:sam");
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
    await fitsInBoth(page, "exchanges", "exchanges");
    return { done: true };
  },

  /** A gateway without a target says how to add one. */
  async first() {
    const page = await open();
    await signIn(page);
    await page.waitForURL(`${base}/`);
    await seen(page, "Put a database behind Gatehouse");
    await seen(page, "gatehouse check");
    await fitsInBoth(page, "the first run", "first-run");
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
