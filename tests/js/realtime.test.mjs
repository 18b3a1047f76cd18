// node --test: what realtime.js does, without a browser and without a network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSocket, FakeWindow } from "./fake_io.mjs";
import { load } from "./load.mjs";

const { Realtime, figuresOf, fullJitter } = await load("realtime.js");

const SOON = { base: 1, cap: 1 };
const NEVER = { base: 1e9, cap: 1e9 };
const CALM = { interval: 1e8, fast: 1e8 };

function open(t, options = {}) {
  let socket;
  const window = new FakeWindow();
  const io = (...given) => {
    socket = new FakeSocket(...given);
    return socket;
  };
  const connection = new Realtime({ io, window, reconnection: SOON, heartbeat: CALM, ...options });
  t.after(() => connection.close());
  const states = [];
  connection.addEventListener("state", ({ detail }) => states.push(detail.state));
  return { connection, socket, window, states };
}

async function eventually(condition) {
  for (let turn = 0; turn < 2000 && !condition(); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(condition(), `never: ${condition}`);
}

test("the page's own origin is the default, polling first", (t) => {
  const { socket } = open(t);
  assert.equal(socket.uri, "/");
  assert.deepEqual(socket.options.transports, ["polling", "websocket"]);
  assert.equal(socket.options.tryAllTransports, false);
});

test("an attribute of the page or an option names another origin", (t) => {
  const window = new FakeWindow();
  window.document.querySelector = (selector) => (
    selector === "[data-realtime-origin]" ? { dataset: { realtimeOrigin: "https://a.example" } } : null
  );
  assert.equal(open(t, { window }).socket.uri, "https://a.example/");
  assert.equal(open(t, { window, origin: "https://b.example" }).socket.uri, "https://b.example/");
});

test("a WebSocket may come first, and falls back", (t) => {
  const { socket } = open(t, { transports: ["websocket", "polling"] });
  assert.equal(socket.options.tryAllTransports, true);
});

test("without the official client it says so", () => {
  assert.throws(() => new Realtime({ io: null }), { code: "no_client" });
});

test("what signs in is asked for anew for each session", async (t) => {
  const tokens = ["one", "two"];
  const { socket } = open(t, { auth: async () => ({ token: tokens.shift() }) });
  for (const token of ["one", "two"]) {
    assert.deepEqual(await new Promise((resolve) => { socket.options.auth(resolve); }), { token });
  }
});

test("delays are drawn from a span that grows exponentially and is bounded", () => {
  const bounds = { base: 1000, cap: 30_000 };
  const longest = [0, 1, 2, 3, 4, 5, 60].map((attempt) => fullJitter(attempt, bounds, () => 1));
  assert.deepEqual(longest, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(fullJitter(3, bounds, () => 0), 0);
  assert.equal(fullJitter(3, bounds, () => 0.5), 4000);
});

test("a connection that is lost is tried again until it is back", async (t) => {
  const { connection, socket, states } = open(t);
  socket.welcome();
  socket.lose("ping timeout");
  await eventually(() => socket.tries === 2);
  socket.fail();
  await eventually(() => socket.tries === 3);
  socket.welcome();
  assert.deepEqual(states, ["connected", "reconnecting", "reconnecting", "connected"]);
  assert.equal(connection.quality.reconnects, 1);
  assert.equal(connection.quality.reasons[0].reason, "ping timeout");
});

const REFUSALS = {
  "an origin": { status: 400, body: '"Not an accepted origin."' },
  "who is not signed in": { status: 401, body: '{"message": "Sign in."}' },
  "a token": { message: "The token has expired.", code: "unauthorized" },
};

for (const [what, failure] of Object.entries(REFUSALS)) {
  test(`a refusal is shown and not tried again: ${what}`, async (t) => {
    const { connection, socket } = open(t);
    socket.fail(failure);
    assert.equal(connection.status.state, "offline");
    assert.equal(connection.status.retrying, false);
    assert.match(connection.status.message, /Not an accepted origin\.|Sign in\.|The token has expired\./);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(socket.tries, 1);
    connection.reconnect();
    assert.equal(socket.tries, 2);
  });
}

for (const failure of [{ status: 503 }, { status: 0 }, {}, { code: "internal" }, { message: "timeout" }]) {
  test(`what may pass is tried again: ${JSON.stringify(failure)}`, async (t) => {
    const { connection, socket } = open(t);
    socket.fail(failure);
    assert.equal(connection.status.state, "reconnecting");
    await eventually(() => socket.tries === 2);
  });
}

test("a session that the service ended is not begun again by itself", (t) => {
  const { connection, socket } = open(t);
  socket.welcome();
  socket.lose("io server disconnect");
  assert.deepEqual(connection.status, {
    state: "offline", message: "The service ended this session.", retrying: false,
  });
});

test("without a network it says offline, and hurries once there is one", async (t) => {
  const { connection, socket, window } = open(t, { reconnection: { base: 1, cap: 1e8 } });
  socket.welcome();
  window.navigator.onLine = false;
  socket.lose();
  assert.equal(connection.status.state, "offline");
  assert.equal(connection.status.retrying, true);
  window.goes(true);
  assert.equal(connection.status.state, "reconnecting");
  await eventually(() => socket.tries === 2);
});

test("a page that is put aside leaves, and comes back when it is shown", (t) => {
  const { connection, socket, window } = open(t, { reconnection: NEVER });
  socket.welcome();
  window.putAside();
  assert.equal(connection.connected, false);
  window.broughtBack();
  assert.equal(socket.tries, 2);
  assert.equal(connection.status.state, "reconnecting");
  socket.welcome();
  assert.equal(connection.quality.reasons[0].reason, "page put aside");
});

test("a page that is looked at again does not wait for its next try", (t) => {
  const { socket, window } = open(t, { reconnection: NEVER });
  socket.welcome();
  window.hides();
  socket.lose();
  assert.equal(socket.tries, 1);
  window.shows();
  assert.equal(socket.tries, 2);
});

test("a connection that died while nobody looked is replaced", async (t) => {
  const { connection, socket, window } = open(t, { heartbeat: { ...CALM, timeout: 5 } });
  socket.welcome();
  window.hides();
  delete socket.answers.heartbeat;
  window.shows();
  await eventually(() => socket.tries === 2);
  socket.welcome();
  assert.equal(connection.quality.reasons[0].reason, "no sign of life");
});

test("what is sent without a session is refused, or waits if that is wanted", async (t) => {
  const { connection, socket } = open(t, { maxQueued: 2 });
  socket.answers.note = (text) => text;
  await assert.rejects(connection.send("note", "refused"), { code: "not_connected" });
  const waiting = ["one", "two"].map((text) => connection.send("note", text, { offline: "queue" }));
  await assert.rejects(connection.send("note", "three", { offline: "queue" }), { code: "queue_full" });
  connection.addEventListener("session", () => connection.send("note", "subscribed first"));
  socket.welcome();
  assert.deepEqual(await Promise.all(waiting), ["one", "two"]);
  const notes = socket.sent.filter(({ event }) => event === "note").map(({ data }) => data[0]);
  assert.deepEqual(notes, ["subscribed first", "one", "two"]);
});

test("what waits is rejected once it is given up", async (t) => {
  const { connection, socket } = open(t, { offline: "queue" });
  const waiting = connection.send("note");
  socket.fail({ status: 403 });
  await assert.rejects(waiting, { code: "not_connected" });
  await assert.rejects(connection.send("note"), { code: "not_connected" });
});

test("an acknowledgement is waited for so long, and not beyond the session", async (t) => {
  const { connection, socket } = open(t);
  socket.welcome();
  await assert.rejects(connection.send("note", 1, { timeout: 2 }), { code: "no_answer" });
  const lost = connection.send("note", 2);
  socket.lose();
  await assert.rejects(lost, { code: "no_answer" });
});

test("what the service declines is thrown with its code", async (t) => {
  const { connection, socket } = open(t);
  socket.welcome();
  socket.answers.note = () => ({ ok: false, error: { code: "invalid", message: "No.", request_id: "r1" } });
  await assert.rejects(connection.request("note"), { code: "invalid", message: "No.", requestId: "r1" });
});

test("events of the service are heard until nobody wants them", (t) => {
  const { connection, socket } = open(t);
  const heard = [];
  const stop = connection.on("news", (text) => heard.push(text));
  socket.happens("news", "one");
  stop();
  socket.happens("news", "two");
  assert.deepEqual(heard, ["one"]);
});

test("figures of round trips", () => {
  assert.deepEqual(figuresOf([]), { latest: null, median: null, p95: null, jitter: null, loss: 0, samples: 0 });
  const twenty = Array.from({ length: 20 }, (_, index) => index + 1);
  assert.deepEqual(figuresOf(twenty), { latest: 20, median: 10, p95: 19, jitter: 1, loss: 0, samples: 20 });
  assert.deepEqual(figuresOf([10, null, 30, 20]), { latest: 20, median: 20, p95: 30, jitter: 15, loss: 0.25, samples: 4 });
  assert.deepEqual(figuresOf([null]), { latest: null, median: null, p95: null, jitter: null, loss: 1, samples: 1 });
});

test("heartbeats make the figures, and the service is told of them", async (t) => {
  const { connection, socket } = open(t, { heartbeat: { fast: 1, interval: 1 } });
  socket.welcome();
  socket.io.engine.happens("packet");
  await eventually(() => connection.quality.samples === 20);
  assert.ok(connection.quality.median >= 0);
  assert.ok(connection.quality.silence >= 0);
  const { quality } = socket.sent.at(-1).data[0];
  assert.deepEqual(Object.keys(quality), [
    "state", "transport", "median_ms", "p95_ms", "jitter_ms", "loss", "reconnects", "reason",
  ]);
  assert.equal(quality.transport, "polling");
});

test("unanswered heartbeats degrade the connection, answers restore it", async (t) => {
  const { connection, socket, states } = open(t, { heartbeat: { fast: 1, interval: 1, timeout: 2 } });
  const { heartbeat } = socket.answers;
  socket.welcome();
  await eventually(() => connection.quality.samples >= 5);
  delete socket.answers.heartbeat;
  await eventually(() => states.at(-1) === "degraded");
  assert.ok(connection.connected);
  socket.answers.heartbeat = heartbeat;
  await eventually(() => states.at(-1) === "connected");
  assert.deepEqual(states, ["connected", "degraded", "connected"]);
});

test("nothing is measured while nobody looks", async (t) => {
  const { socket, window } = open(t, { heartbeat: { fast: 1, interval: 1 } });
  window.hides();
  socket.welcome();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(socket.sent, []);
  window.shows();
  await eventually(() => socket.sent.length > 0);
});
