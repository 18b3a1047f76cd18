// node --test: what channels.js makes of what the service sends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSocket, FakeWindow } from "./fake_io.mjs";
import { load } from "./load.mjs";

const { Channels, Realtime } = await load("channels.js", "realtime.js");

const POSITION = { ok: true, channels: ["lobby"], sequences: { lobby: 7 }, epochs: { lobby: "a" }, replayed: {}, gaps: {} };

function open(t, answer = () => POSITION) {
  const socket = new FakeSocket();
  socket.answers.subscribe = answer;
  const connection = new Realtime({ io: () => socket, window: new FakeWindow(), reconnection: { base: 1, cap: 1 } });
  t.after(() => connection.close());
  const channels = new Channels(connection, ["lobby"]);
  const seen = [];
  for (const type of ["update", "gap"]) {
    channels.addEventListener(type, ({ detail }) => seen.push(detail));
  }
  const update = (sequence, epoch = "a") => socket.happens("update", { channel: "lobby", sequence, epoch });
  return { socket, channels, seen, update, numbers: () => seen.map((one) => one.sequence ?? [one.from, one.to]) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const asked = (socket) => socket.sent.filter(({ event }) => event === "subscribe").map(({ data }) => data[0]);

test("after each reconnection it asks for what came after the last update", async (t) => {
  const { socket, update } = open(t);
  socket.welcome();
  await settled();
  update(8);
  socket.lose();
  socket.welcome();
  await settled();
  assert.deepEqual(asked(socket), [
    { channels: ["lobby"], after: {}, epochs: {} },
    { channels: ["lobby"], after: { lobby: 8 }, epochs: { lobby: "a" } },
  ]);
});

test("what comes twice is shown once", async (t) => {
  const { socket, update, numbers } = open(t);
  socket.welcome();
  await settled();
  [8, 9, 9, 8, 10].forEach((number) => { update(number); });
  assert.deepEqual(numbers(), [8, 9, 10]);
});

test("what was left out is a gap, also where the numbers start again", async (t) => {
  const { socket, update, numbers } = open(t);
  socket.welcome();
  await settled();
  update(8);
  update(11);
  update(1, "b");
  assert.deepEqual(numbers(), [8, [9, 10], 11, [12, null], 1]);
});

test("numbers that go on in another epoch are no gap", async (t) => {
  const { socket, update, numbers } = open(t);
  socket.welcome();
  await settled();
  update(8);
  update(9, "b");
  socket.happens("gap", { channel: "lobby", from: 10, to: 12, sequence: 9, epoch: "c" });
  update(10, "c");
  assert.deepEqual(numbers(), [8, 9, [10, 12], 10]);
});

test("a gap in the answer is shown unless an update has shown it", async (t) => {
  const gap = { ...POSITION, gaps: { lobby: { from: 3, to: 7 } } };
  const { socket, numbers } = open(t, () => gap);
  socket.welcome();
  await settled();
  assert.deepEqual(numbers(), [[3, 7]]);
});

test("a gap that the service itself speaks of moves the position", async (t) => {
  const { socket, update, numbers } = open(t);
  socket.welcome();
  await settled();
  socket.happens("gap", { channel: "lobby", from: 8, to: 9, sequence: 9, epoch: "a" });
  update(10);
  assert.deepEqual(numbers(), [[8, 9], 10]);
});

test("a service that cannot know yet is asked again, and the problem is said meanwhile", async (t) => {
  const error = { code: "unavailable", message: "The queue is away.", request_id: "r" };
  const answers = [{ ok: false, error }, POSITION];
  const { socket, channels } = open(t, () => answers.shift());
  const problems = [];
  const solved = new Promise((resolve) => {
    channels.addEventListener("problem", ({ detail }) => {
      problems.push(detail?.code);
      if (!detail) resolve();
    });
  });
  t.mock.method(Math, "random", () => 0);
  socket.welcome();
  await solved;
  assert.deepEqual(problems, ["unavailable", undefined]);
});

test("a channel that was left is not asked for again", async (t) => {
  const { socket, channels } = open(t);
  socket.answers.unsubscribe = () => ({ ok: true, channels: [] });
  socket.welcome();
  await settled();
  await channels.unsubscribe(["lobby"]);
  socket.lose();
  socket.welcome();
  await settled();
  assert.equal(asked(socket).length, 1);
});

test("a message is published with its id", async (t) => {
  const { socket, channels } = open(t);
  socket.answers.publish = (payload) => ({ ok: true, ...payload });
  socket.welcome();
  assert.deepEqual(await channels.publish("lobby", { n: 1 }, { id: "x" }), { ok: true, channel: "lobby", data: { n: 1 }, id: "x" });
});
