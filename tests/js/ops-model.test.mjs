// node --test: what the operators' page makes of what the processes say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const {
  FIRST_POINTS, Fleet, GONE_AFTER, LogBook, MOST_RECORDS, POINTS, SILENT_AFTER, Series, describe, formatDuration, formatRate,
} = await load("ops-model.js");

const QUALITY = { known: 0, degraded: 0, bands: [0, 0, 0, 0, 0], worst: [] };

function snapshot(process, changes = {}) {
  return {
    process,
    uptime: 100,
    lag: 0,
    draining: false,
    checks: { not_draining: { status: "pass" } },
    sessions: { open: 1, most: 10, websocket: 1, polling: 0 },
    rooms: { count: 0, largest: [] },
    events: { handled: 0, delivered: 0, failed: 0 },
    queue: null,
    quality: QUALITY,
    ...changes,
  };
}

function fleetOf(...snapshots) {
  const fleet = new Fleet();
  for (const each of snapshots) fleet.add(each, 0);
  return fleet;
}

test("processes stand in the order of their numbers", () => {
  const fleet = fleetOf(snapshot("web.10.1"), snapshot("web.2.1"));
  assert.deepEqual(fleet.processes(0).map(({ process }) => process), ["web.2.1", "web.10.1"]);
});

test("only the first snapshot of a process makes it new", () => {
  const fleet = new Fleet();
  assert.equal(fleet.add(snapshot("web.0.1"), 0), true);
  assert.equal(fleet.add(snapshot("web.0.1"), 1), false);
});

test("rates are what was counted between two snapshots, whenever they arrive", () => {
  const fleet = fleetOf(snapshot("web.0.1", { events: { handled: 10, delivered: 0, failed: 0 } }));
  assert.equal(fleet.totals(0).handled, 0);
  fleet.add(snapshot("web.0.1", { uptime: 104, events: { handled: 50, delivered: 8, failed: 2 } }), 1);
  const { handled, delivered, failed } = fleet.totals(1);
  assert.deepEqual([handled, delivered, failed], [10, 2, 30]);
});

test("a process that starts again under its name has no negative rate", () => {
  const fleet = fleetOf(snapshot("web.0.1", { events: { handled: 10, delivered: 0, failed: 0 } }));
  fleet.add(snapshot("web.0.1", { uptime: 1 }), 1);
  assert.equal(fleet.totals(1).handled, 0);
});

test("a silent process says so, no longer counts, and is forgotten", () => {
  const fleet = fleetOf(snapshot("web.0.1"));
  fleet.add(snapshot("web.1.2"), SILENT_AFTER);
  const now = SILENT_AFTER + 1;
  assert.deepEqual(fleet.processes(now).map(({ state }) => state.name), ["silent", "ready"]);
  assert.equal(fleet.totals(now).sessions, 1);
  fleet.prune(GONE_AFTER + 1);
  assert.equal(fleet.processes(GONE_AFTER + 1).length, 1);
});

test("the state says what is wrong", () => {
  const state = (changes) => fleetOf(snapshot("web.0.1", changes)).processes(0)[0].state;
  assert.equal(state({ draining: true, checks: { not_draining: { status: "fail" } } }).text, "leaving");
  const checks = { event_loop_lag: { status: "fail" }, of_the_app: { status: "fail" }, other: { status: "pass" } };
  assert.deepEqual(state({ checks }), { name: "failing", text: "late, of the app" });
});

test("rooms are those of all processes together", () => {
  const room = (name, sessions) => ({ namespace: "/", room: name, sessions });
  const fleet = fleetOf(
    snapshot("web.0.1", { rooms: { count: 3, largest: [room("news", 4), room("lobby", 3)] } }),
    snapshot("web.1.2", { rooms: { count: 1, largest: [room("lobby", 2)] } }),
  );
  const { largest, more } = fleet.rooms(0);
  assert.deepEqual(largest.map((each) => [each.room, each.sessions, each.processes]), [["lobby", 5, 2], ["news", 4, 1]]);
  assert.equal(more, 1);
});

test("the queue is lost for whoever does not hear it, and is nothing where there is none", () => {
  assert.equal(fleetOf(snapshot("web.0.1")).queue(0), null);
  const queue = { published: 1, received: 2, waiting: 3, failed: 0, dropped: 0 };
  const lost = { message_queue: { status: "fail", output: "listening: TimeoutError" } };
  const seen = fleetOf(snapshot("web.0.1", { queue }), snapshot("web.1.2", { queue, checks: lost })).queue(0);
  assert.deepEqual(seen.lost, [{ process: "web.1.2", reason: "listening: TimeoutError" }]);
  assert.deepEqual([seen.published, seen.received, seen.waiting], [2, 4, 6]);
});

test("the worst connections of all processes come first, degraded ones before slow ones", () => {
  const connection = (session, state, loss, median) => ({ session, state, loss, median_ms: median });
  const of = (...worst) => ({ known: worst.length, degraded: 0, bands: [1, 0, 0, 0, 1], worst });
  const { bands, worst } = fleetOf(
    snapshot("web.0.1", { quality: of(connection("a", "connected", 0, 900), connection("b", "connected", 0.1, 5)) }),
    snapshot("web.1.2", { quality: of(connection("c", "degraded", 0, null), connection("d", "connected", 0, 950)) }),
  ).quality(0);
  assert.deepEqual(worst.map(({ session }) => session), ["c", "b", "d", "a"]);
  assert.deepEqual(bands, [2, 0, 0, 0, 2]);
});

test("a curve ends now, and forgets", () => {
  const series = new Series();
  series.add(1);
  const width = 2 * (FIRST_POINTS - 1);
  assert.equal(series.path(width, 10), "");
  series.add(2);
  assert.equal(series.path(width, 10), `M${width - 2}.0 5.0L${width}.0 0.0`);
  for (let count = 0; count < 2 * POINTS; count += 1) series.add(0);
  assert.equal(series.path(width, 10).split("L").length, POINTS);
  assert.match(series.path(width, 10), /^M0.0 /);
});

test("the log keeps so many records and counts what was dropped", () => {
  const book = new LogBook();
  book.add({ process: "web.0.1", records: Array.from({ length: MOST_RECORDS + 5 }, (_, number) => ({ level: "info", event: `e${number}` })), dropped: 7 });
  const all = book.between(0, book.last);
  assert.equal(all.length, MOST_RECORDS);
  assert.equal(all[0].record.event, "e5");
  assert.equal(book.dropped, 7);
  const before = book.last;
  book.add({ process: "web.0.1", records: [{ level: "info", event: "new" }], dropped: 0 });
  assert.equal(book.between(before - 1, before).length, 1);
  assert.deepEqual(book.between(all.at(-1).number, book.last).map(({ record }) => record.event), ["new"]);
});

test("the log is filtered by level and by text, anywhere in a record", () => {
  const book = new LogBook();
  const records = [
    { level: "info", event: "placed", order: 7 },
    { level: "error", event: "failed", exception: "KeyError: 'Order'" },
    { level: "unheard-of", event: "other" },
  ];
  book.add({ process: "web.0.1", records, dropped: 0 });
  const events = () => book.between(0, book.last).map(({ record }) => record.event);
  book.level = "warning";
  assert.deepEqual(events(), ["failed"]);
  book.level = "info";
  book.text = " ORDER ";
  assert.deepEqual(events(), ["placed", "failed"]);
  book.text = "process=web.0.1";
  assert.equal(events().length, 3);
});

test("a record says the rest of what it knows in order", () => {
  const { event, details, trace } = describe({ timestamp: "t", level: "info", event: { a: 1 }, session: "s", n: 2, deep: [1] });
  assert.equal(event, '{"a":1}');
  assert.equal(details, "session=s n=2 deep=[1]");
  assert.equal(trace, "");
});

test("durations and rates have as many digits as tell something", () => {
  assert.deepEqual([5.9, 65, 3700, 90_000].map(formatDuration), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
  assert.deepEqual([0, 1.26, 1234.5].map(formatRate), ["0", "1.3", "1,235"]);
});
