// The numbered channels of the service (production/realtime/channels.py), followed over a connection of
// realtime.js. channels.d.ts says what it takes and gives.

import { fullJitter } from "./realtime.js";

const RESUBSCRIPTION = { base: 2000, cap: 30_000 };

// What a service fails to do now, and may do later.
const PASSING = new Set(["internal", "unavailable", "no_answer"]);

/**
 * Channels, followed through every interruption: each update arrives once and in order, and what was
 * missed and is no longer kept is a gap.
 */
export class Channels extends EventTarget {
  #connection;
  #wanted;
  // The last update of each channel that was seen: its `sequence` and `epoch`.
  #seen = new Map();
  #attempt = 0;
  #retry;

  constructor(connection, names = []) {
    super();
    this.#connection = connection;
    this.#wanted = new Set(names);
    connection.on("update", (update) => this.#receive(update));
    connection.on("gap", ({ channel, from, to, sequence, epoch }) => {
      this.#seen.set(channel, { sequence, epoch });
      this.#tell("gap", { channel, from, to });
    });
    connection.addEventListener("session", () => this.#resubscribe());
    if (connection.connected) {
      this.#resubscribe();
    }
  }

  async subscribe(names, options) {
    const before = new Map(this.#seen);
    const known = names.filter((name) => before.has(name));
    const pick = (key) => Object.fromEntries(known.map((name) => [name, before.get(name)[key]]));
    const asked = { channels: names, after: pick("sequence"), epochs: pick("epoch") };
    const answer = await this.#connection.request("subscribe", asked, options);
    this.#wanted = new Set([...this.#wanted, ...names]);
    this.#tell("channels", answer.channels);
    // Updates that came before the answer know better, and have shown what was missing before them.
    for (const name of names.filter((one) => this.#seen.get(one) === before.get(one))) {
      if (answer.gaps[name]) {
        this.#tell("gap", { channel: name, ...answer.gaps[name] });
      }
      if (name in answer.sequences) {
        this.#seen.set(name, { sequence: answer.sequences[name], epoch: answer.epochs[name] });
      }
    }
  }

  async unsubscribe(names, options) {
    const { channels } = await this.#connection.request("unsubscribe", { channels: names }, options);
    for (const name of names) {
      this.#wanted.delete(name);
      this.#seen.delete(name);
    }
    this.#tell("channels", channels);
  }

  /** Publish; with an `id` that is unique to the message, it may be sent again without harm. */
  publish(channel, data, { id, ...options } = {}) {
    return this.#connection.request("publish", { channel, data, id }, options);
  }

  /** Ask for what was missed until the service knows. */
  async #resubscribe() {
    clearTimeout(this.#retry);
    if (this.#wanted.size === 0) {
      return;
    }
    try {
      await this.subscribe([...this.#wanted]);
      this.#attempt = 0;
      this.#tell("problem", null);
    } catch (error) {
      this.#tell("problem", error);
      if (PASSING.has(error.code) && this.#connection.connected) {
        this.#retry = setTimeout(() => this.#resubscribe(), fullJitter(this.#attempt, RESUBSCRIPTION));
        this.#attempt += 1;
      }
    }
  }

  #receive(update) {
    const { channel, sequence, epoch } = update;
    const last = this.#seen.get(channel);
    if (last?.epoch === epoch && sequence <= last.sequence) {
      return;
    }
    this.#seen.set(channel, { sequence, epoch });
    // The service says what is missing where an epoch ends, unless the numbers start again.
    if (last && sequence > last.sequence + 1) {
      this.#tell("gap", { channel, from: last.sequence + 1, to: sequence - 1 });
    } else if (last?.epoch && last.epoch !== epoch && sequence <= last.sequence) {
      this.#tell("gap", { channel, from: last.sequence + 1, to: null });
    }
    this.#tell("update", update);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
