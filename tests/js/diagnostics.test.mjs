// What the page /diagnostics makes of what it meets, without a page and without a network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const verdicts = await load("diagnostics-verdicts.js");
const { inMilliseconds, sparkline, statistics } = await load("diagnostics-figures.js");
const { report, VERDICTS } = await load("diagnostics-report.js");
const { STEPS } = await load("diagnostics-steps.js");
const { serviceOf } = await load("diagnostics-trials.js");

const NATIVE = { source: "function WebSocket() { [native code] }" };
const CONSTANTS = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
const session = { upgrades: ["websocket"] };
const cause = (result) => result.causes[0]?.cause ?? "";

/** Check a verdict, and how the first cause begins. */
function expect(result, verdict, beginning = "") {
  assert.equal(result.verdict, verdict, result.seen);
  assert.ok(cause(result).startsWith(beginning), cause(result));
  assert.ok(result.seen.endsWith(".") || result.seen.endsWith(")"), result.seen);
}

test("every verdict has a word, every step a name and a reason", () => {
  assert.deepEqual(Object.keys(VERDICTS), ["passed", "failed", "unknown", "skipped"]);
  assert.equal(new Set(STEPS.map(({ id }) => id)).size, 12);
  assert.ok(STEPS.every(({ name, why }) => name && why.endsWith(".")));
});

test("a page that came over https may open nothing that is not encrypted", () => {
  const judge = (page, service) => verdicts.judgeOrigin({ page, service });
  expect(judge("https://a.example/x", "https://a.example"), "passed");
  expect(judge("https://a.example/x", "http://a.example"), "failed", "Mixed content");
  expect(judge("https://a.example/x", "http://127.0.0.1:5000"), "passed");
  expect(judge("http://a.example/x", "http://a.example:5001"), "passed");
  expect(judge("file:///tmp/x.html", "http://a.example"), "failed", "The page was opened as a file");
});

test("a service that is not ready names its failing checks", () => {
  const body = JSON.stringify({ checks: { message_queue: { status: "fail" }, not_draining: { status: "pass" } } });
  const result = verdicts.judgeHealth({ status: 503, body, milliseconds: 1 }, false);
  expect(result, "failed", "The service is starting");
  assert.match(result.seen, /message_queue/);
  assert.doesNotMatch(result.seen, /not_draining/);
});

test("health tells the proxy's answers from the service's, and silence from both", () => {
  expect(verdicts.judgeHealth({ status: 200, body: "", milliseconds: 12 }, false), "passed");
  expect(verdicts.judgeHealth({ status: 502, body: "" }, false), "failed", "The proxy does not reach");
  expect(verdicts.judgeHealth({ status: 404, body: "" }, false), "unknown");
  expect(verdicts.judgeHealth({ error: "Failed to fetch", answers: false }, true), "failed", "Nothing answers");
  expect(verdicts.judgeHealth({ error: "Failed to fetch", answers: true }, true), "unknown");
});

test("what the service saw is compared with what the browser asked for", () => {
  const judge = (saw, page = "https://a.example/diagnostics") => verdicts.judgeRequest(
    { status: 200, body: JSON.stringify({ scheme: "https", host: "a.example", client_address: "203.0.113.9", forwarded: {}, believed: true, ...saw }) },
    page,
    false,
  );
  expect(judge({}), "passed");
  expect(judge({ forwarded: { "X-Forwarded-For": 2 } }), "passed");
  expect(judge({ scheme: "http" }), "failed", "Wrong origin");
  expect(judge({ host: "127.0.0.1:5000" }), "failed", "Wrong origin");
  expect(judge({ scheme: "http", forwarded: { "X-Forwarded-Proto": 1 }, believed: false }), "failed", "There is a proxy");
  expect(judge({ forwarded: { "X-Forwarded-For": 1 }, believed: false }), "failed", "There is a proxy");
  expect(judge({ too_few: true }), "failed", "The service trusts more proxies");
  expect(verdicts.judgeRequest({ status: 404, body: "" }, "https://a.example/", false), "unknown");
});

test("the polling handshake tells a refusal from a wrong turn and from silence", () => {
  const opened = { status: 200, body: "0{}", milliseconds: 3, session };
  const judge = (facts, crossOrigin = false) => verdicts.judgePolling(facts, crossOrigin);
  expect(judge({ opened, joined: { status: 200, body: "ok", milliseconds: 2 } }), "passed");
  expect(judge({ opened, joined: { status: 400, body: '"Not an accepted origin."' } }), "failed", "Wrong origin");
  expect(judge({ opened, joined: { status: 400, body: '"Invalid session abc"' } }), "failed", "The requests of one session");
  expect(judge({ opened: { status: 404, body: "<html>" } }), "failed", "The proxy does not hand requests");
  expect(judge({ opened: { status: 502, body: "" } }), "failed", "The proxy does not reach");
  expect(judge({ opened: { status: 503, body: "" } }), "failed", "The service is starting");
  expect(judge({ opened: { status: 400, body: '"Invalid transport"' } }), "skipped");
  expect(judge({ opened: { error: "Failed to fetch", answers: true } }, true), "failed", "Two ports");
  expect(judge({ opened: { error: "Failed to fetch", answers: false } }), "failed", "Nothing answers");
});

test("only the browser's own WebSocket passes", () => {
  const judge = (facts) => verdicts.judgeConstants({ ...NATIVE, constants: CONSTANTS, inherited: CONSTANTS, ...facts });
  expect(judge({}), "passed");
  expect(judge({ source: "class extends WebSocket { }" }), "failed", "A script or a browser extension");
  expect(judge({ source: "function () { [native code] }" }), "failed", "A script");
  const result = judge({ constants: { ...CONSTANTS, OPEN: undefined } });
  expect(result, "failed", "A script");
  assert.match(result.seen, /OPEN is undefined instead of 1/);
});

test("a class in its place is seen for what it is, a missing one as well", () => {
  class Patched {}
  expect(verdicts.judgeConstants(verdicts.describeWebSocket(Patched)), "failed");
  expect(verdicts.judgeConstants(verdicts.describeWebSocket(undefined)), "failed");
  expect(verdicts.judgeConstants(verdicts.describeWebSocket(new Proxy(Patched, {}))), "failed");
});

test("an upgrade that fails is blamed on what the service saw of it", () => {
  const judge = (facts, patched = false) => verdicts.judgeUpgrade({ upgraded: false, milliseconds: 5, ...facts }, patched);
  expect(judge({ upgraded: true }), "passed");
  expect(judge({ arrived: false }), "failed", "Missing upgrade headers");
  expect(judge({ arrived: true }), "failed", "The request reached the service");
  expect(judge({ arrived: null }), "failed", "Something between");
  expect(judge({ arrived: null }, true), "failed", "A script");
  expect(judge({ error: "timeout" }), "unknown");
});

test("a direct WebSocket that fails is blamed on what the steps before found", () => {
  const judge = (known) => verdicts.judgeWebSocket({ error: "websocket error" }, known);
  expect(verdicts.judgeWebSocket({ milliseconds: 4 }, {}), "passed");
  expect(judge({ arrived: false }), "failed", "Missing upgrade headers");
  expect(judge({ patched: true }), "failed", "A script");
  expect(judge({ pollingCauses: [{ cause: "Wrong origin", fix: "" }] }), "failed", "Wrong origin");
  expect(judge({ arrived: true }), "failed", "The service was away");
  expect(judge({}), "failed", "Missing upgrade headers");
});

test("round trips are counted, and lost ones are a failure", () => {
  expect(verdicts.judgeRoundTrip({ samples: [1, 2, 3], asked: 3, transport: "websocket" }), "passed");
  expect(verdicts.judgeRoundTrip({ samples: [1, 2], asked: 3, transport: "websocket" }), "failed");
  expect(verdicts.judgeRoundTrip({ samples: [], asked: 3, transport: "polling" }), "failed");
});

test("a message across processes needs two of them and a queue", () => {
  const judge = (facts) => verdicts.judgeProcesses({ sessions: 8, from: "web:1", workers: 2, queue: true, ...facts });
  expect(judge({ to: "web:2", delivered: true }), "passed");
  expect(judge({ to: "web:2", delivered: false }), "failed", "The processes do not share");
  expect(judge({ to: "web:2", delivered: false, queue: false }), "failed", "The processes have no");
  expect(judge({}), "unknown");
  assert.equal(judge({ workers: 1 }).seen, "One process only: web:1.");
  expect(judge({ workers: 1 }), "skipped");
});

test("a page that does not come back is a failure", () => {
  expect(verdicts.judgeReconnect({ milliseconds: 100, reason: "transport close" }), "passed");
  expect(verdicts.judgeReconnect({ error: "it took too long" }), "failed");
  const load = { connected: true, transport: "websocket", milliseconds: 8 };
  expect(verdicts.judgeRefresh([load, load], 2), "passed");
  expect(verdicts.judgeRefresh([load, { connected: false, message: "timeout" }], 2), "failed");
  expect(verdicts.judgeRefresh([{ connected: false, silent: true }], 2), "unknown");
});

test("silence is judged by what ended it", () => {
  const judge = (ended) => verdicts.judgeSilence({ ended, seconds: 5, pingInterval: 25, transport: "websocket", reason: "transport close" });
  expect(judge("ping"), "passed");
  expect(judge("cut"), "failed", "The proxy’s time-out");
  expect(judge("skipped"), "skipped");
  expect(judge("time"), "unknown");
});

test("figures of round trips", () => {
  const samples = [4, 1, 3, 2, 100];
  assert.deepEqual(statistics(samples), { median: 3, p95: 100, jitter: (3 + 2 + 1 + 98) / 4 });
  assert.deepEqual(statistics([7]), { median: 7, p95: 7, jitter: 0 });
  assert.equal(inMilliseconds(3.14), "3.1\u00a0ms");
  assert.equal(inMilliseconds(31.4), "31\u00a0ms");
});

test("the line of round trips fills its box from the bottom", () => {
  assert.equal(sparkline([5, 10, 0], 100, 20), "0.0,10.0 50.0,0.0 100.0,20.0");
  assert.equal(sparkline([5], 100, 20), "0.0,0.0");
  assert.equal(sparkline([], 100, 20), "");
});

test("the report says everything that the page says", () => {
  const about = { page: "https://a.example", service: "https://a.example", browser: "A browser", time: "2026-01-01T00:00:00Z" };
  const text = report(about, [
    { name: "One", verdict: "passed", seen: "Fine.", causes: [] },
    { name: "Two", verdict: "failed", seen: "Not fine.", causes: [{ cause: "This.", fix: "That:", lines: ["listen 80;"] }] },
  ]);
  for (const part of ["A browser", "2 steps: 1 passed, 1 failed.", "[Passed] One", "[Failed] Two", "Not fine.", "This.", "That:", "listen 80;"]) {
    assert.ok(text.includes(part), part);
  }
});

test("the service is the page's own unless another origin is named", () => {
  const of = (search) => serviceOf({
    location: { origin: "https://a.example", search },
    document: { body: { dataset: { root: "/app", socketPath: "/app/socket.io" } } },
  });
  const own = { origin: "https://a.example", root: "/app", socketPath: "/app/socket.io", crossOrigin: false };
  assert.deepEqual(of(""), own);
  assert.deepEqual(of("?service=https://a.example/"), own);
  assert.deepEqual(of("?service=nonsense"), own);
  assert.deepEqual(of("?service=http://b.example:5001"), { origin: "http://b.example:5001", root: "", socketPath: "/socket.io", crossOrigin: true });
});
