// The live board. Two halves that know nothing of each other's inside:
// `openConnection` speaks to the service, `createBoard` writes to the page;
// `start` at the end ties them together.

// --- The connection ---------------------------------------------------------

const ANSWER_TIMEOUT = 10_000;
const RESUBSCRIBE_DELAY = 1000;

/** A request that the service refused, or that got no answer. */
class RequestError extends Error {
  constructor({ code, message, request_id: requestId }) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.requestId = requestId;
  }
}

/**
 * Connect to the service that served this page and stay connected.
 *
 * `on` holds the callbacks: `state({ name, message, retrying })` with the name
 * `connected`, `reconnecting` or `offline`, `transport(name)`, `hello(connectionAck)`,
 * `roundTrip(milliseconds or null)`, `channels(names)`, `update(update)`,
 * `gap({ channel, from, to })` and `error(requestError or null)`.
 *
 * Each update arrives once and in order, whatever happened to the connection. What was missed and is
 * no longer kept is a gap; its `to` is null if the channel's numbers have started again.
 */
function openConnection(io, defaultChannels, on) {
  const socket = io();
  const wanted = new Set(defaultChannels);
  // The last update of each channel that was seen: its `sequence` and `epoch`.
  const seen = new Map();
  let heartbeat;
  let resubscription;

  async function request(event, payload, timeout = ANSWER_TIMEOUT) {
    if (!socket.connected) {
      throw new RequestError({ code: "not_connected", message: "Not connected, so nothing was sent." });
    }
    let answer;
    try {
      answer = await socket.timeout(timeout).emitWithAck(event, payload);
    } catch {
      throw new RequestError({ code: "no_answer", message: "The service did not answer." });
    }
    if (!answer?.ok) {
      throw new RequestError(answer?.error ?? { code: "no_error", message: "The service refused without a reason." });
    }
    return answer;
  }

  async function subscribe(names) {
    const before = new Map(seen);
    const known = names.filter((name) => before.has(name));
    const pick = (key) => Object.fromEntries(known.map((name) => [name, before.get(name)[key]]));
    const answer = await request("subscribe", { channels: names, after: pick("sequence"), epochs: pick("epoch") });
    names.forEach((name) => wanted.add(name));
    on.channels(answer.channels);
    // Updates that came before the answer know better, and have shown what was missing before them.
    names.filter((name) => seen.get(name) === before.get(name)).forEach((name) => {
      if (answer.gaps[name]) {
        on.gap({ channel: name, ...answer.gaps[name] });
      }
      if (name in answer.sequences) {
        seen.set(name, { sequence: answer.sequences[name], epoch: answer.epochs[name] });
      }
    });
  }

  /** Ask for what was missed until the service knows. */
  async function resubscribe() {
    try {
      await subscribe([...wanted]);
      on.error(null);
    } catch (error) {
      on.error(error);
      if (error.code === "unavailable") {
        resubscription = setTimeout(resubscribe, RESUBSCRIBE_DELAY * (0.5 + Math.random()));
      }
    }
  }

  function receive(update) {
    const { channel, sequence, epoch } = update;
    const last = seen.get(channel);
    if (last?.epoch === epoch && sequence <= last.sequence) {
      return;
    }
    seen.set(channel, { sequence, epoch });
    if (last?.epoch && last.epoch !== epoch) {
      on.gap({ channel, from: last.sequence + 1, to: null });
    } else if (last && sequence > last.sequence + 1) {
      on.gap({ channel, from: last.sequence + 1, to: sequence - 1 });
    }
    on.update(update);
  }

  async function unsubscribe(names) {
    const { channels } = await request("unsubscribe", { channels: names });
    names.forEach((name) => wanted.delete(name) && seen.delete(name));
    on.channels(channels);
  }

  async function measureRoundTrip(timeout) {
    const start = performance.now();
    try {
      await request("heartbeat", { sent_at: new Date().toISOString() }, timeout);
      on.roundTrip(performance.now() - start);
    } catch {
      on.roundTrip(null);
    }
  }

  function interrupted(message) {
    clearInterval(heartbeat);
    clearTimeout(resubscription);
    const name = socket.active && navigator.onLine ? "reconnecting" : "offline";
    on.state({ name, message, retrying: socket.active });
  }

  socket.on("connect", () => {
    const { engine } = socket.io;
    on.state({ name: "connected" });
    on.transport(engine.transport.name);
    engine.on("upgrade", (transport) => on.transport(transport.name));
    if (wanted.size > 0) {
      resubscribe();
    }
  });

  socket.on("connection_ack", (ack) => {
    const measure = () => measureRoundTrip(ack.heartbeat_timeout * 1000);
    clearInterval(heartbeat);
    heartbeat = setInterval(measure, ack.heartbeat_interval * 1000);
    on.hello(ack);
    measure();
  });

  socket.on("update", receive);
  socket.on("gap", ({ channel, from, to, sequence, epoch }) => {
    seen.set(channel, { sequence, epoch });
    on.gap({ channel, from, to });
  });
  socket.on("disconnect", (reason) => interrupted(`The connection ended: ${reason}.`));
  socket.on("connect_error", (error) => {
    interrupted(`The service ${socket.active ? "cannot be reached" : "refused the connection"}: ${error.message}.`);
  });

  return {
    subscribe: (name) => subscribe([name]),
    unsubscribe: (name) => unsubscribe([name]),
    publish: (channel, data, id) => request("publish", { channel, data, id }),
    reconnect: () => socket.connect(),
  };
}

// --- The page ---------------------------------------------------------------

const MAX_TEXT = 2000;
const MAX_LINE = 120;
const MAX_SPOKEN = 200;
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

const STATES = { connected: "Connected", reconnecting: "Reconnecting", offline: "Offline" };

function showState({ name, message = "", retrying = false }) {
  const connected = name === "connected";
  byId("connection").dataset.state = name;
  setText(byId("state"), STATES[name]);
  setText(byId("notice-text"), retrying ? `${message} Trying again.` : message);
  byId("notice").hidden = connected;
  if (!connected) {
    ["transport", "round-trip", "process", "session"].forEach((id) => setText(byId(id), "–"));
  }
}

function showRoundTrip(milliseconds) {
  const digits = milliseconds < 10 ? 1 : 0;
  setText(byId("round-trip"), milliseconds === null ? "no answer" : `${milliseconds.toFixed(digits)} ms`);
}

/** Show what was wrong with a form's last request; without an error, clear it. */
function showProblem(form, error) {
  const where = form.querySelector(".problem");
  where.replaceChildren();
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

// --- Both together ----------------------------------------------------------

function start() {
  const { defaultChannel, maxUpdates } = document.body.dataset;
  const publishForm = byId("publish");
  const subscribeForm = byId("subscribe");
  const api = new URL(`api/channels/${defaultChannel}`, document.baseURI);
  byId("command").textContent = `curl ${api} -H 'Content-Type: application/json' -d '{"text": "Hello from a shell"}'`;

  if (typeof window.io !== "function") {
    const { src } = byId("client-script");
    byId("desk").hidden = true;
    showState({ name: "offline", message: `The Socket.IO client could not be loaded from ${src}, so this page cannot connect.` });
    return;
  }

  const board = createBoard({
    maxUpdates: Number(maxUpdates),
    onUnsubscribe: (name) => connection.unsubscribe(name).then(
      () => showProblem(subscribeForm, null),
      (error) => showProblem(subscribeForm, error),
    ),
  });

  const connection = openConnection(window.io, [defaultChannel], {
    state: (state) => {
      showState(state);
      byId("reconnect").hidden = state.name === "connected" || state.retrying;
    },
    transport: (name) => setText(byId("transport"), name),
    hello: (ack) => {
      setText(byId("process"), String(ack.process_id));
      setText(byId("session"), ack.session_id);
    },
    roundTrip: showRoundTrip,
    channels: board.setChannels,
    update: board.addUpdate,
    gap: board.addGap,
    error: (error) => showProblem(subscribeForm, error),
  });

  onSubmit(subscribeForm, async ({ channel }) => {
    const typed = channel.value;
    await connection.subscribe(typed.trim());
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
    const answer = await connection.publish(name, typed, attempt.id);
    attempt = {};
    clear(message, typed);
    if (!board.has(answer.channel)) {
      receipt.textContent = `Published to ${answer.channel} as number ${answer.sequence}. You are not subscribed to it.`;
    }
  });

  byId("reconnect").addEventListener("click", connection.reconnect);
}

start();
