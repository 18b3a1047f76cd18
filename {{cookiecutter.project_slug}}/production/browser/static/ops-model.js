// What the operators' page knows, apart from how it looks: the processes that report themselves, their
// totals over the last minutes, and the log. Times are milliseconds of one clock, given by the caller.

/** A process shows itself every two seconds: this one has missed three times. */
export const SILENT_AFTER = 7000;

/** What has been silent for so long has left, or was killed. */
export const GONE_AFTER = 30_000;

/** Samples that a curve remembers: two minutes of them. */
export const POINTS = 60;

/** Samples for which a curve has room at first. */
export const FIRST_POINTS = 15;

/** Log records that are remembered. */
export const MOST_RECORDS = 1000;

export const LEVELS = ["debug", "info", "warning", "error", "critical"];

const CHECKS = {
  event_loop_lag: "late",
  message_queue: "queue lost",
};

/** The processes of a service, each as it last showed itself. */
export class Fleet {
  #seen = new Map();

  /** Take in a snapshot, as production/observe/snapshot.py makes it; return whether its process is new. */
  add(snapshot, now) {
    const before = this.#seen.get(snapshot.process)?.snapshot;
    this.#seen.set(snapshot.process, { snapshot, seenAt: now, rates: ratesBetween(before, snapshot) });
    return before === undefined;
  }

  /** Forget the processes that have left. */
  prune(now) {
    for (const [name, { seenAt }] of this.#seen) {
      if (now - seenAt > GONE_AFTER) {
        this.#seen.delete(name);
      }
    }
  }

  clear() {
    this.#seen.clear();
  }

  /** Everything about each process, in the order of their names. */
  processes(now) {
    return [...this.#seen.values()]
      .map(({ snapshot, seenAt, rates }) => ({ ...snapshot, rates, state: stateOf(snapshot, now - seenAt) }))
      .sort((one, other) => one.process.localeCompare(other.process, undefined, { numeric: true }));
  }

  /** The processes together; what a silent one had does not count. */
  totals(now) {
    const processes = this.processes(now).filter(({ state }) => state.name !== "silent");
    return {
      processes: processes.length,
      sessions: sum(processes, ({ sessions }) => sessions.open),
      most: sum(processes, ({ sessions }) => sessions.most),
      handled: sum(processes, ({ rates }) => rates.handled),
      delivered: sum(processes, ({ rates }) => rates.delivered),
      failed: sum(processes, ({ rates }) => rates.failed * 60),
      lag: Math.max(0, ...processes.map(({ lag }) => lag * 1000)),
      waiting: sum(processes, ({ queue }) => queue?.waiting ?? 0),
    };
  }

  /** The rooms of all processes, the largest first; `more` are those that no process has named. */
  rooms(now) {
    const rooms = new Map();
    let more = 0;
    for (const { rooms: own } of this.processes(now)) {
      more += own.count - own.largest.length;
      for (const { namespace, room, sessions } of own.largest) {
        const key = JSON.stringify([namespace, room]);
        const known = rooms.get(key) ?? { key, namespace, room, sessions: 0, processes: 0 };
        rooms.set(key, { ...known, sessions: known.sessions + sessions, processes: known.processes + 1 });
      }
    }
    const largest = [...rooms.values()].sort((one, other) => other.sessions - one.sessions);
    return { largest, more };
  }

  /** The queue as all processes see it; nothing where there is none. */
  queue(now) {
    const processes = this.processes(now).filter(({ queue }) => queue);
    if (processes.length === 0) {
      return null;
    }
    const total = (name) => sum(processes, ({ queue }) => queue[name]);
    const failing = processes.filter(({ checks }) => checks.message_queue?.status === "fail");
    return {
      lost: failing.map(({ process, checks }) => ({ process, reason: checks.message_queue.output ?? "silent" })),
      published: total("published"),
      received: total("received"),
      waiting: total("waiting"),
      failed: total("failed"),
      dropped: total("dropped"),
    };
  }

  /** How good the connections are: how many in each band, and the worst of them. */
  quality(now) {
    const qualities = this.processes(now).map(({ quality }) => quality);
    const bands = [];
    for (const quality of qualities) {
      quality.bands.forEach((count, index) => { bands[index] = (bands[index] ?? 0) + count; });
    }
    return {
      known: sum(qualities, ({ known }) => known),
      degraded: sum(qualities, ({ degraded }) => degraded),
      bands,
      worst: qualities.flatMap(({ worst }) => worst).sort(worseFirst).slice(0, 10),
    };
  }
}

/** The latest values of something, oldest first. */
export class Series {
  #values = [];

  add(value) {
    this.#values = [...this.#values, value].slice(-POINTS);
  }

  clear() {
    this.#values = [];
  }

  /** The curve as the `d` of an SVG path within `width` and `height`; its right end is now. */
  path(width, height) {
    const top = Math.max(...this.#values, 1e-9);
    const step = width / (Math.max(this.#values.length, FIRST_POINTS) - 1);
    const left = width - step * (this.#values.length - 1);
    const points = this.#values.map((value, index) => {
      const x = left + step * index;
      const y = height - (value / top) * height;
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    return points.length < 2 ? "" : `M${points.join("L")}`;
  }
}

/** The latest log records, and which of them are asked for. */
export class LogBook {
  #records = [];
  #last = 0;
  dropped = 0;
  level = "debug";
  text = "";

  /** Take in records of a process, which has a name beside its number, and how many more there were. */
  add({ process, records, dropped }) {
    const numbered = records.map((record, index) => ({ number: this.#last + 1 + index, record: { ...record, process } }));
    this.#last += records.length;
    this.#records = [...this.#records, ...numbered].slice(-MOST_RECORDS);
    this.dropped += dropped;
  }

  clear() {
    this.#records = [];
    this.dropped = 0;
  }

  /** The number of the latest record. */
  get last() {
    return this.#last;
  }

  /** What is asked for of the records after a number, up to another one. */
  between(after, upTo) {
    const inside = this.#records.filter(({ number }) => number > after && number <= upTo);
    return inside.filter(({ record }) => this.#isAskedFor(record));
  }

  #isAskedFor(record) {
    const { time, level, event, details, trace } = describe(record);
    const enough = LEVELS.indexOf(level) >= LEVELS.indexOf(this.level);
    const text = [time, event, details, trace].join(" ").toLowerCase();
    return enough && text.includes(this.text.trim().toLowerCase());
  }
}

/** A record for people: its time, level and event, what else is known, and a traceback if it has one. */
export function describe({ timestamp = "", level, event, exception = "", ...rest }) {
  const details = Object.entries(rest).map(([name, value]) => `${name}=${plain(value)}`).join(" ");
  return { time: timestamp, level: LEVELS.includes(level) ? level : "info", event: plain(event), details, trace: exception };
}

export function formatDuration(seconds) {
  const units = [["d", 86_400], ["h", 3600], ["min", 60]];
  for (const [index, [unit, length]] of units.entries()) {
    if (seconds >= length) {
      const [finer, shorter] = units[index + 1] ?? ["s", 1];
      return `${Math.floor(seconds / length)} ${unit} ${Math.floor((seconds % length) / shorter)} ${finer}`;
    }
  }
  return `${Math.floor(seconds)} s`;
}

/** A rate with as many digits as tell something. */
export function formatRate(rate) {
  return rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 });
}

export function formatCount(count) {
  return count.toLocaleString("en");
}

function ratesBetween(before, after) {
  const seconds = after.uptime - (before?.uptime ?? after.uptime);
  const rate = (name) => (seconds > 0 ? Math.max(0, after.events[name] - before.events[name]) / seconds : 0);
  return { handled: rate("handled"), delivered: rate("delivered"), failed: rate("failed") };
}

function stateOf({ draining, checks }, silence) {
  if (silence > SILENT_AFTER) {
    return { name: "silent", text: `silent for ${formatDuration(silence / 1000)}` };
  }
  if (draining) {
    return { name: "leaving", text: "leaving" };
  }
  const failing = Object.entries(checks).filter(([, { status }]) => status !== "pass");
  if (failing.length > 0) {
    return { name: "failing", text: failing.map(([name]) => CHECKS[name] ?? name.replaceAll("_", " ")).join(", ") };
  }
  return { name: "ready", text: "ready" };
}

function worseFirst(one, other) {
  const badness = ({ state, loss, median_ms: median }) => [Number(state === "degraded"), loss, median ?? 0];
  const [ours, theirs] = [badness(one), badness(other)];
  const decisive = ours.findIndex((value, index) => value !== theirs[index]);
  return decisive < 0 ? 0 : theirs[decisive] - ours[decisive];
}

function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function sum(items, amount) {
  return items.reduce((total, item) => total + amount(item), 0);
}
