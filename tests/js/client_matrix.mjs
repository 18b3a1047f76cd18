// node client_matrix.mjs URL
//
// Puts a running service through everything that the stock JavaScript client can do, over each of
// its transports. One JSON line per check: {"check": name, "ok": bool, "detail": …}. Exits 1 if any
// check failed, 2 if it was called wrongly.

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";

const WAIT = 120_000;
const WATCHDOG = 600_000;
const LARGE = 900_000;
const OVERSIZE = 2_000_000;
const BURST = 100;
const MAX_DETAIL = 1000;

const MODES = [
  { mode: "upgrade", transports: ["polling", "websocket"], first: "polling", last: "websocket" },
  { mode: "websocket", transports: ["websocket"], first: "websocket", last: "websocket" },
  { mode: "polling", transports: ["polling"], first: "polling", last: "polling" },
];

const url = process.argv[2];
const sockets = new Set();
let failed = 0;

function report(check, ok, detail) {
  failed += ok ? 0 : 1;
  console.log(JSON.stringify({ check, ok, detail: typeof detail === "string" ? detail.slice(0, MAX_DETAIL) : detail }));
}

/** Run one check; what it returns is its detail, what it throws makes it fail. */
async function check(name, run) {
  try {
    report(name, true, (await run()) ?? "");
  } catch (error) {
    report(name, false, error.message);
  }
}

function open(path, options) {
  const socket = io(new URL(path, url).href, {
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 1000,
    ...options,
  });
  sockets.add(socket);
  return socket;
}

/** The arguments of the next `event` on `emitter` that `accept` takes. */
function next(emitter, event, { accept = () => true, wait = WAIT } = {}) {
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => {
      clearTimeout(timer);
      emitter.off(event, listener);
      settle(value);
    };
    const listener = (...args) => {
      if (accept(...args)) {
        finish(resolve, args);
      }
    };
    const timer = setTimeout(finish, wait, reject, new Error(`no "${event}" within ${wait} ms`));
    emitter.on(event, listener);
  });
}

/** Emit and wait for the acknowledgement, whatever it says. */
async function request(socket, event, ...args) {
  try {
    return await socket.timeout(WAIT).emitWithAck(event, ...args);
  } catch (error) {
    throw new Error(`"${event}" was not acknowledged within ${WAIT} ms: ${error.message}`, { cause: error });
  }
}

/** Publish, and return the `update` that comes back for it. */
async function roundTrip(socket, channel, data) {
  const updates = [];
  const collect = (update) => updates.push(update);
  socket.on("update", collect);
  try {
    const answer = await request(socket, "publish", { channel, data });
    assert.equal(answer.ok, true, `publish was refused: ${JSON.stringify(answer)}`);
    assert.equal(answer.channel, channel, "the acknowledgement names another channel");
    assert.ok(Number.isInteger(answer.sequence), `sequence is not an integer: ${answer.sequence}`);
    const own = (update) => update.channel === channel && update.sequence === answer.sequence;
    if (!updates.some(own)) {
      await next(socket, "update", { accept: own });
    }
    return updates.find(own);
  } finally {
    socket.off("update", collect);
  }
}

function refused(answer) {
  assert.equal(answer?.ok, false, `not refused: ${JSON.stringify(answer)}`);
  for (const key of ["code", "message", "request_id"]) {
    assert.equal(typeof answer.error?.[key], "string", `error.${key} is not a text: ${JSON.stringify(answer)}`);
    assert.notEqual(answer.error[key], "", `error.${key} is empty`);
  }
  return answer.error.code;
}

function describesSession(ack, socket) {
  assert.equal(typeof ack.session_id, "string");
  assert.equal(ack.session_id, socket.id, "session_id is not the client's own id");
  assert.ok(["number", "string"].includes(typeof ack.process_id) && ack.process_id, `process_id: ${ack.process_id}`);
  assert.match(ack.server_time, /^\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)$/, "server_time is not ISO 8601 in UTC");
  assert.ok(ack.heartbeat_interval > 0, `heartbeat_interval: ${ack.heartbeat_interval}`);
  assert.ok(ack.heartbeat_timeout > 0, `heartbeat_timeout: ${ack.heartbeat_timeout}`);
}

async function connects(socket, { first, last }) {
  let reason = "";
  socket.on("connect_error", (error) => {
    reason = ` (connect_error: ${error.message})`;
  });
  const hello = next(socket, "connection_ack").catch((error) => {
    throw new Error(`${error.message}${reason}`, { cause: error });
  });
  const upgrade = first === last ? null : next(socket.io.engine, "upgrade");
  upgrade?.catch(() => {});
  const started = socket.io.engine.transport.name;
  const [ack] = await hello;
  describesSession(ack, socket);
  assert.equal(started, first, "the first transport is another one");
  if (upgrade) {
    const [transport] = await upgrade;
    assert.equal(transport.name, last, "upgraded to another transport");
  }
  assert.equal(socket.io.engine.transport.name, last, "the transport in use is another one");
  return { server: ack, started, now: last };
}

/** Many publishes emitted in one tick: each acknowledged, in order, and each delivered, in order. */
async function burst(socket, channel, count) {
  const received = [];
  const acknowledged = [];
  const collect = (update) => update.channel === channel && received.push(update);
  socket.on("update", collect);
  try {
    const answers = await Promise.all(Array.from({ length: count }, (_, index) => (
      request(socket, "publish", { channel, data: index }).then((answer) => {
        acknowledged.push(index);
        return answer;
      })
    )));
    const inOrder = [...answers.keys()];
    assert.ok(answers.every((answer) => answer.ok), `refused: ${JSON.stringify(answers.find((answer) => !answer.ok))}`);
    assert.deepEqual(acknowledged, inOrder, `acknowledged out of order: ${acknowledged}`);
    const sequences = answers.map((answer) => answer.sequence);
    assert.ok(sequences.every((sequence, index) => index === 0 || sequence > sequences[index - 1]),
      `sequences do not rise: ${sequences}`);
    const deadline = Date.now() + WAIT;
    while (received.length < count && Date.now() < deadline) {
      await sleep(20);
    }
    assert.equal(received.length, count, `${received.length} of ${count} updates came back within ${WAIT} ms`);
    assert.deepEqual(received.map((update) => update.data), inOrder, "updates are out of order");
    return `${count} acknowledged and delivered in order`;
  } finally {
    socket.off("update", collect);
  }
}

/** A message beyond the limit ends this session; the client comes back by itself and works. */
async function survivesOversize(socket, channel) {
  const before = socket.id;
  const disconnected = next(socket, "disconnect");
  const reconnected = disconnected.then(() => next(socket, "connection_ack"));
  reconnected.catch(() => {});
  socket.emit("publish", { channel, data: "x".repeat(OVERSIZE) });
  const [reason] = await disconnected;
  const [ack] = await reconnected;
  assert.notEqual(socket.id, before, "the session is still the same");
  describesSession(ack, socket);
  const answer = await request(socket, "subscribe", { channels: [channel] });
  assert.deepEqual(answer, { ok: true, channels: [channel] }, `subscribe: ${JSON.stringify(answer)}`);
  const update = await roundTrip(socket, channel, "back again");
  assert.equal(update.data, "back again");
  return `disconnected (${reason}), connected again as ${socket.id}`;
}

async function runMode({ mode, transports, first, last }) {
  const channel = `matrix.${mode}.${randomUUID().slice(0, 8)}`;
  const other = `${channel}.other`;
  const named = (name, run) => check(`${mode}: ${name}`, run);
  const socket = open("/", { transports });

  // What is sent while the upgrade is under way must neither get lost nor overtake.
  const early = next(socket, "connect").then(async () => {
    await request(socket, "subscribe", { channels: [channel] });
    return burst(socket, channel, 20);
  });
  early.catch(() => {});

  await named("connection_ack and transport", () => connects(socket, { first, last }));
  if (!socket.connected) {
    report(`${mode}: everything else`, false, "not run, because the client is not connected");
    socket.close();
    return;
  }
  await named("requests sent on connect", () => early);

  await named("subscribe", async () => {
    const answer = await request(socket, "subscribe", { channels: [channel, other] });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    assert.deepEqual([...answer.channels].sort(), [channel, other], "another list of channels");
  });

  await named("publish and own update", async () => {
    const text = "Gr\u00fc\u00dfe, \u4e16\u754c \u{1f680} \u2028 \\ \" \0";
    const data = { text, nested: { list: [1, 2.5, null, true, { deep: [] }] } };
    const update = await roundTrip(socket, channel, data);
    assert.deepEqual(update.data, data, `other data came back: ${JSON.stringify(update.data)}`);
    assert.ok(!Number.isNaN(Date.parse(update.sent_at)), `sent_at is not a time: ${update.sent_at}`);
  });

  await named("unsubscribe", async () => {
    const answer = await request(socket, "unsubscribe", { channels: [other] });
    assert.deepEqual(answer, { ok: true, channels: [channel] }, JSON.stringify(answer));
    const update = next(socket, "update", { accept: (arrived) => arrived.channel === other, wait: 500 });
    const stray = update.then(() => true, () => false);
    await request(socket, "publish", { channel: other, data: "unheard" });
    assert.equal(await stray, false, "an update came for a channel that was unsubscribed from");
  });

  await named("heartbeat", async () => {
    const sentAt = new Date().toISOString();
    const answer = await request(socket, "heartbeat", { sent_at: sentAt });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    assert.equal(answer.sent_at, sentAt, "sent_at did not come back as it was sent");
    const quality = { state: "connected", transport: "polling", median_ms: 4.5 };
    assert.equal((await request(socket, "heartbeat", { sent_at: sentAt, quality })).ok, true, "quality is not taken");
    assert.ok(!Number.isNaN(Date.parse(answer.server_time)), `server_time is not a time: ${answer.server_time}`);
  });

  await named("binary", async () => {
    const bytes = randomBytes(4096);
    const update = await roundTrip(socket, channel, bytes);
    assert.ok(Buffer.isBuffer(update.data), `a Buffer came back as ${Object.prototype.toString.call(update.data)}`);
    assert.ok(update.data.equals(bytes), "other bytes came back");
  });

  await named("nested binary", async () => {
    const data = { blob: randomBytes(512), list: [randomBytes(16), "text"], empty: Buffer.alloc(0) };
    const update = await roundTrip(socket, channel, data);
    assert.deepEqual(update.data, data);
  });

  const invalid = {
    "a channel name that is none": ["publish", { channel: "Not A Channel!", data: 1 }],
    "a channel name of 65 characters": ["publish", { channel: "x".repeat(65), data: 1 }],
    "no data": ["publish", { channel }],
    "no object": ["publish", "text"],
    "no payload": ["publish"],
    "channels that are no list": ["subscribe", { channels: channel }],
    "no sent_at": ["heartbeat", {}],
    "a quality that is none": ["heartbeat", { sent_at: 1, quality: { loss: 2 } }],
  };
  for (const [what, [event, ...args]] of Object.entries(invalid)) {
    await named(`invalid ${event}: ${what}`, async () => refused(await request(socket, event, ...args)));
  }

  await named("large message", async () => {
    const data = "x".repeat(LARGE);
    const update = await roundTrip(socket, channel, data);
    assert.ok(update.data === data, `${update.data?.length} of ${LARGE} characters came back, or others`);
    return `${LARGE} characters`;
  });

  await named("100 publishes in one tick", () => burst(socket, channel, BURST));
  await named("transport unchanged", () => {
    assert.equal(socket.io.engine.transport.name, last);
    return last;
  });
  await named("oversize message", () => survivesOversize(socket, channel));
  await named("close", async () => {
    const disconnected = next(socket, "disconnect");
    socket.close();
    const [reason] = await disconnected;
    assert.equal(reason, "io client disconnect");
  });
}

async function unknownNamespace() {
  const socket = open("/unknown", { reconnection: false });
  const seen = new Set();
  socket.io.once("open", () => seen.add("open"));
  socket.once("connect", () => seen.add("connect"));
  const [error] = await next(socket, "connect_error");
  assert.ok(error instanceof Error, `connect_error came with ${error}`);
  assert.ok(seen.has("open"), `the transport failed, not the namespace: ${error.message}`);
  assert.ok(!seen.has("connect"), "the unknown namespace was accepted at first");
  return error.message || "refused without a message";
}

if (!URL.canParse(url ?? "")) {
  console.error("usage: node client_matrix.mjs URL");
  process.exit(2);
}

const watchdog = setTimeout(() => {
  report("watchdog", false, `not finished after ${WATCHDOG} ms`);
  process.exit(1);
}, WATCHDOG);

for (const mode of MODES) {
  await runMode(mode);
}
await check("unknown namespace", unknownNamespace);

for (const socket of sockets) {
  socket.close();
}
clearTimeout(watchdog);
process.exitCode = failed > 0 ? 1 : 0;
// Node ends by itself now; a closing handshake that a service leaves unanswered must not hold it.
setTimeout(process.exit, 2000).unref();
