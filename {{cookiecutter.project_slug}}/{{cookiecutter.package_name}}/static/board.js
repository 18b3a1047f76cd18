// The live board: what it shows. The connection and the channels are the layer's, see
// production/browser/static.

import { Channels } from "../realtime/channels.js";
import { Realtime } from "../realtime/realtime.js";

const MAX_TEXT = 2000;
const MAX_LINE = 120;
const MAX_SPOKEN = 200;
const NOTHING = "–";

// In the units of the drawing; the scale reaches to so many milliseconds at least.
const PULSE_BARS = 20;
const PULSE_STEP = 5;
const PULSE_HEIGHT = 20;
const MIN_SCALE = 20;
const byId = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** Readable text, of a bounded length, for anything a channel can carry, bytes included. */
function textOf(data) {
  const describe = (_key, value) => (value instanceof ArrayBuffer ? `(${value.byteLength} bytes)` : value);
  const plain = describe("", data);
  let text = plain;
  if (typeof plain !== "string") {
    const lines = JSON.stringify(plain, describe, 2);
    const line = lines.replace(/\n */g, " ");
    text = line.length > MAX_LINE ? lines : line;
  }
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length} characters)` : text;
}

function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Tell screen readers, in one sentence a second at most. */
function createAnnouncer(element) {
  let pending = [];
  return (sentence) => {
    pending.push(sentence);
    if (pending.length === 1) {
      setTimeout(() => {
        element.textContent = pending.length === 1 ? pending[0] : `${pending.length} new updates. ${pending.at(-1)}`;
        pending = [];
      }, 1000);
    }
  };
}

/** The open channels and their updates, newest first. */
function createBoard({ maxUpdates, onUnsubscribe }) {
  const cards = new Map();
  const announce = createAnnouncer(byId("announcer"));

  function addCard(name) {
    const card = byId("channel-template").content.cloneNode(true).firstElementChild;
    const heading = card.querySelector("h3");
    const feed = card.querySelector(".feed");
    const button = card.querySelector("button");
    heading.textContent = name;
    heading.id = `channel:${name}`;
    card.setAttribute("aria-labelledby", heading.id);
    feed.setAttribute("aria-label", `Updates in ${name}, newest first`);
    button.setAttribute("aria-label", `Unsubscribe from ${name}`);
    button.addEventListener("click", () => onUnsubscribe(name));
    byId("channels").append(card);
    cards.set(name, { card, list: card.querySelector("ol"), count: card.querySelector(".count"), received: 0 });
  }

  function removeCard(name) {
    const { card } = cards.get(name);
    if (card.contains(document.activeElement)) {
      byId("board-heading").focus();
    }
    card.remove();
    cards.delete(name);
  }

  function setChannels(names) {
    [...cards.keys()].filter((name) => !names.includes(name)).forEach(removeCard);
    names.filter((name) => !cards.has(name)).forEach(addCard);
    byId("no-channels").hidden = cards.size > 0;
    byId("channel-names").replaceChildren(...[...cards.keys()].map((name) => new Option("", name)));
  }

  function addUpdate({ channel, data, sequence, sent_at: sentAt }) {
    const entry = cards.get(channel);
    if (!entry) {
      return;
    }
    const item = byId("update-template").content.cloneNode(true).firstElementChild;
    const time = item.querySelector("time");
    const text = textOf(data);
    item.querySelector(".sequence").textContent = sequence;
    time.dateTime = sentAt;
    time.textContent = clock.format(new Date(sentAt));
    item.querySelector(".data").textContent = text;
    item.querySelector(".data").classList.toggle("structured", typeof data !== "string");
    entry.list.prepend(item);
    while (entry.list.children.length > maxUpdates) {
      entry.list.lastElementChild.remove();
    }
    entry.received += 1;
    const counted = entry.received === 1 ? "1 update" : `${entry.received} updates`;
    entry.count.textContent = entry.received > maxUpdates ? `${counted}, the last ${maxUpdates} shown` : counted;
    announce(`${channel}: ${text.slice(0, MAX_SPOKEN)}`);
  }

  function addGap({ channel, from, to }) {
    const entry = cards.get(channel);
    if (!entry) {
      return;
    }
    const which = from === to ? `Update ${from} was` : `Updates ${from} to ${to} were`;
    const item = document.createElement("li");
    item.className = "gap";
    item.textContent = to === null
      ? `Updates after number ${from - 1} may be missing: the channel’s numbers started again.`
      : `${which} missed and cannot be had any more.`;
    entry.list.prepend(item);
    announce(`${channel}: ${item.textContent}`);
  }

  return { setChannels, addUpdate, addGap, has: (name) => cards.has(name) };
}

const STATES = {
  connecting: "Connecting",
  connected: "Connected",
  degraded: "Degraded",
  reconnecting: "Reconnecting",
  offline: "Offline",
};

function showStatus({ state, message, retrying }) {
  const hasSession = state === "connected" || state === "degraded";
  byId("connection").dataset.state = state;
  setText(byId("state"), STATES[state]);
  setText(byId("state-message"), hasSession ? message : "");
  setText(byId("notice-text"), message && retrying ? `${message} Trying again.` : message);
  byId("notice").hidden = hasSession || !message;
  byId("reconnect").hidden = retrying;
  if (!hasSession) {
    setText(byId("process"), NOTHING);
    setText(byId("session"), NOTHING);
  }
}

function showQuality({ transport, roundTrips, median, p95, jitter, loss, samples, reconnects, reasons, silence }) {
  drawPulse(roundTrips);
  setText(byId("transport"), transport ?? NOTHING);
  setText(byId("round-trip"), duration(median));
  setText(byId("p95"), duration(p95));
  setText(byId("jitter"), duration(jitter));
  setText(byId("loss"), samples > 0 ? `${Math.round(loss * 100)} %` : NOTHING);
  setText(byId("reconnects"), String(reconnects));
  setText(byId("silence"), silence === null ? NOTHING : `${Math.round(silence / 1000)} s ago`);
  const last = reasons.at(-1);
  setText(byId("last-reconnect"), last ? `Last at ${clock.format(last.at)}: ${last.reason}.` : "");
}

/** A bar for each heartbeat, the latest on the right, as high as its answer was late. */
function drawPulse(roundTrips) {
  const slowest = Math.max(MIN_SCALE, ...roundTrips);
  const bars = roundTrips.map((roundTrip, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = roundTrip === null ? PULSE_HEIGHT : Math.max(1, (PULSE_HEIGHT * roundTrip) / slowest);
    const x = PULSE_STEP * (PULSE_BARS - roundTrips.length + index);
    const box = { x, y: PULSE_HEIGHT - height, width: PULSE_STEP - 2, height };
    for (const [name, value] of Object.entries(box)) {
      bar.setAttribute(name, value);
    }
    bar.classList.toggle("lost", roundTrip === null);
    return bar;
  });
  byId("pulse").replaceChildren(...bars);
}

function duration(milliseconds) {
  return milliseconds === null ? NOTHING : `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

/** Show what was wrong with a form's last request; without an error, clear it. */
function showProblem(form, error) {
  const where = form.querySelector(".problem");
  where.replaceChildren();
  where.dataset.code = error?.code ?? "";
  if (error) {
    const trace = document.createElement("small");
    trace.textContent = error.requestId ? `${error.code}, request ${error.requestId}` : "";
    where.append(error.message, " ", trace);
  }
}

/** On submit, run `send(fields)`; what it throws is shown in the form. */
function onSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await send(form.elements);
      showProblem(form, null);
    } catch (error) {
      showProblem(form, error);
    }
  });
}

/** Text that nobody else will draw; `crypto.randomUUID` is there on https pages only. */
function createId() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((number) => number.toString(36)).join("-");
}

/** Empty a field once its value was accepted, unless its user has typed on meanwhile. */
function clear(input, accepted) {
  if (input.value === accepted) {
    input.value = "";
  }
}

function start() {
  const { defaultChannel, maxUpdates } = document.body.dataset;
  const publishForm = byId("publish");
  const subscribeForm = byId("subscribe");
  const api = new URL(`api/channels/${defaultChannel}`, document.baseURI);
  byId("command").textContent = `curl ${api} -H 'Content-Type: application/json' -d '{"text": "Hello from a shell"}'`;

  if (typeof window.io !== "function") {
    const { src } = byId("client-script");
    byId("desk").hidden = true;
    showStatus({
      state: "offline",
      message: `The Socket.IO client could not be loaded from ${src}, so this page cannot connect.`,
      retrying: false,
    });
    byId("reconnect").hidden = true;
    return;
  }

  const connection = new Realtime();
  const channels = new Channels(connection, [defaultChannel]);
  const board = createBoard({
    maxUpdates: Number(maxUpdates),
    onUnsubscribe: (name) => channels.unsubscribe([name]).then(
      () => showProblem(subscribeForm, null),
      (error) => showProblem(subscribeForm, error),
    ),
  });

  connection.addEventListener("state", ({ detail }) => showStatus(detail));
  connection.addEventListener("session", () => {
    if (publishForm.querySelector(".problem").dataset.code === "not_connected") {
      showProblem(publishForm, null);
    }
  });
  connection.addEventListener("quality", ({ detail }) => showQuality(detail));
  connection.on("connection_ack", (ack) => {
    setText(byId("process"), ack.process);
    setText(byId("session"), ack.session_id);
  });
  channels.addEventListener("channels", ({ detail }) => board.setChannels(detail));
  channels.addEventListener("update", ({ detail }) => board.addUpdate(detail));
  channels.addEventListener("gap", ({ detail }) => board.addGap(detail));
  channels.addEventListener("problem", ({ detail }) => showProblem(subscribeForm, detail));
  setInterval(() => showQuality(connection.quality), 1000);

  onSubmit(subscribeForm, async ({ channel }) => {
    const typed = channel.value;
    await channels.subscribe([typed.trim()]);
    clear(channel, typed);
  });

  // A message that was not confirmed keeps its id: sent again, it is not published twice.
  let attempt = {};
  onSubmit(publishForm, async ({ channel, message }) => {
    const receipt = publishForm.querySelector(".receipt");
    receipt.textContent = "";
    const typed = message.value;
    const name = channel.value.trim();
    if (attempt.name !== name || attempt.typed !== typed) {
      attempt = { name, typed, id: createId() };
    }
    const answer = await channels.publish(name, typed, { id: attempt.id });
    attempt = {};
    clear(message, typed);
    if (!board.has(answer.channel)) {
      receipt.textContent = `Published to ${answer.channel} as number ${answer.sequence}. You are not subscribed to it.`;
    }
  });

  byId("reconnect").addEventListener("click", () => connection.reconnect());
}

start();
