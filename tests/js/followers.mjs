// node followers.mjs URL COUNT CHANNEL...: so many official clients, each of which follows a channel.
// Prints "ready" when all are subscribed. Told a number on standard input, waits until each has an update of that
// number, then prints one JSON object per client: what it received, and why it was ever cut off.

import { createInterface } from "node:readline/promises";

import { io } from "socket.io-client";

const [url, count, ...channels] = process.argv.slice(2);
const TRANSPORTS = [["polling", "websocket"], ["websocket"], ["polling"]];

class Follower {
  constructor(number) {
    this.channel = channels[number % channels.length];
    this.transports = TRANSPORTS[number % TRANSPORTS.length];
    this.sequences = [];
    this.epoch = "";
    this.gaps = [];
    this.reasons = [];
    this.subscribed = new Promise((resolve) => { this.resolve = resolve; });
    this.socket = io(url, { transports: this.transports, forceNew: true });
    this.socket.on("connect", () => this.subscribe());
    this.socket.on("disconnect", (reason) => this.reasons.push(reason));
    this.socket.on("connect_error", (error) => this.reasons.push(`${error.message} ${error.description ?? ""}`));
    this.socket.on("update", (update) => {
      this.sequences.push(update.sequence);
      this.epoch = update.epoch;
      this.received?.();
    });
  }

  reaches(sequence) {
    return new Promise((resolve) => {
      this.received = () => { if (this.sequences.at(-1) >= sequence) resolve(); };
      this.received();
    });
  }

  async subscribe() {
    const last = this.sequences.at(-1) ?? 0;
    try {
      const answer = await this.socket.timeout(10_000).emitWithAck("subscribe", {
        channels: [this.channel],
        after: { [this.channel]: last },
        epochs: { [this.channel]: this.epoch },
      });
      if (!answer.ok) throw new Error(answer.error.code);
      this.gaps.push(...Object.values(answer.gaps));
    } catch {
      if (this.socket.connected) setTimeout(() => this.subscribe(), 100);
      return;
    }
    this.resolve();
  }

  report() {
    const { channel, transports, sequences, gaps, reasons } = this;
    console.log(JSON.stringify({ channel, transports, sequences, gaps, reasons }));
    this.socket.disconnect();
  }
}

const followers = Array.from({ length: Number(count) }, (_, number) => new Follower(number));
await Promise.all(followers.map((follower) => follower.subscribed));
console.log("ready");
for await (const last of createInterface(process.stdin)) {
  await Promise.all(followers.map((follower) => follower.reaches(Number(last))));
  for (const follower of followers) follower.report();
}
