// Compiled by a test, never run: what realtime.d.ts and channels.d.ts let a page write, and what not.

import { Channels, type Gap, type Update } from "../../{{cookiecutter.project_slug}}/production/browser/static/channels.js";
import { figuresOf, Realtime, RealtimeError, type State } from "../../{{cookiecutter.project_slug}}/production/browser/static/realtime.js";

const connection = new Realtime({ transports: ["websocket", "polling"], auth: async () => ({ token: "…" }) });
const channels = new Channels(connection, ["lobby"]);
const median: number | null = figuresOf([1, null]).median;

connection.addEventListener("state", ({ detail }) => {
  const state: State = detail.state;
  console.log(state, detail.message, connection.quality.loss.toFixed(2), median);
});
const stop: () => void = connection.on("news", (text: string) => console.log(text));
stop();

channels.addEventListener("update", ({ detail }) => {
  const update: Update = detail;
  console.log(update.sequence);
});
channels.addEventListener("gap", ({ detail }: { detail: Gap }) => console.log(detail.to));

try {
  const { sequence } = await channels.publish("lobby", { text: "Hello" }, { id: "1", offline: "queue", timeout: 5000 });
  const { rows } = await connection.request<{ rows: string[] }>("list");
  console.log(sequence + 1, rows.length);
} catch (error) {
  if (error instanceof RealtimeError) console.log(error.code, error.requestId);
}

// @ts-expect-error: no such transport
new Realtime({ transports: ["carrier pigeon"] });
// @ts-expect-error: no such choice
await connection.send("note", 1, { offline: "forget" });
// @ts-expect-error: the state is told, not set
connection.status.state = "connected";
