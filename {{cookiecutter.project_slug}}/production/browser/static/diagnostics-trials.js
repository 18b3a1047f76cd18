// What the page /diagnostics tries: each function meets the service once and returns what it saw.
// What that means is decided in diagnostics-verdicts.js.

const PATIENCE = 8000;
const NAMESPACE = "/diagnostics";
const ROUND_TRIPS = 20;
const PROCESS_TRIES = 8;
const LOADS = 6;
const LONGEST_SILENCE = 30_000;
const PROGRESS_EVERY = 200;

// Of Engine.IO's packets and Socket.IO's, as written in a polling request
// (https://socket.io/docs/v4/engine-io-protocol/, https://socket.io/docs/v4/socket-io-protocol/).
const OPEN = "0";
const CLOSE = "1";
const JOIN = `40${NAMESPACE},`;

/**
 * Where the service is: where the page came from, or what `?service=` names.
 *
 * `socketPath` is the path of its sessions, `root` the path below which its pages are.
 */
export function serviceOf({ location, document }) {
  const { root = "", socketPath } = document.body.dataset;
  const named = new URLSearchParams(location.search).get("service")?.replace(/\/$/, "");
  const origin = isOrigin(named) ? named : location.origin;
  return origin === location.origin
    ? { origin, root, socketPath, crossOrigin: false }
    : { origin, root: "", socketPath: "/socket.io", crossOrigin: true };
}

function isOrigin(text) {
  try {
    return new URL(text).origin === text;
  } catch {
    return false;
  }
}

/** Ask over HTTP: `{ status, body, milliseconds }`, or `{ error, answers }` if that cannot be read. */
export async function ask(url, options = {}) {
  const start = performance.now();
  try {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options });
    const body = await response.text();
    return { status: response.status, body, milliseconds: performance.now() - start };
  } catch (error) {
    return { error: error.message, answers: await answersAtAll(url) };
  }
}

/** Tell whether something is there, although a page of this origin may not read its answer. */
async function answersAtAll(url) {
  try {
    await fetch(url, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return true;
  } catch {
    return false;
  }
}

/** Open a session as a client does, request by request, join the namespace and close the session. */
export async function tryPolling(service) {
  const url = new URL(`${service.origin}${service.socketPath}/?EIO=4&transport=polling`);
  const opened = await ask(url);
  if (opened.status !== 200 || !opened.body.startsWith(OPEN)) {
    return { opened };
  }
  opened.session = JSON.parse(opened.body.slice(1));
  url.searchParams.set("sid", opened.session.sid);
  const joined = await ask(url, { method: "POST", body: JOIN, headers: { "Content-Type": "text/plain" } });
  await ask(url, { method: "POST", body: CLOSE, headers: { "Content-Type": "text/plain" } });
  return { opened, joined };
}

/**
 * Open a session of its own and join the namespace.
 *
 * @returns `{ socket, transport, milliseconds }`; the caller disconnects the socket.
 */
export function openSession(io, service, transports, options = {}) {
  const start = performance.now();
  const socket = io(`${service.origin}${NAMESPACE}`, {
    path: service.socketPath,
    transports,
    forceNew: true,
    reconnection: false,
    timeout: PATIENCE,
    ...options,
  });
  return new Promise((resolve, reject) => {
    const fail = (message) => {
      socket.disconnect();
      reject(new Error(message));
    };
    const timer = setTimeout(fail, PATIENCE, "it took too long");
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve({ socket, transport: socket.io.engine.transport.name, milliseconds: performance.now() - start });
    });
    socket.once("connect_error", (error) => {
      clearTimeout(timer);
      fail(error.message);
    });
  });
}

/** Ask in the namespace; an answer that does not come or refuses is an error. */
async function question(socket, event, ...payload) {
  const answer = await socket.timeout(PATIENCE).emitWithAck(event, ...payload);
  if (!answer?.ok) {
    throw new Error(answer?.error?.message ?? `the service did not answer ${event}`);
  }
  return answer;
}

/** Do something with a session, and close it whatever comes of it. */
async function withSession(io, service, transports, use) {
  const session = await openSession(io, service, transports);
  try {
    return await use(session);
  } finally {
    session.socket.disconnect();
  }
}

/** Let a session go from polling to a WebSocket; if it does not, ask what the service saw of it. */
export async function tryUpgrade(io, service) {
  const start = performance.now();
  const session = await openSession(io, service, ["polling", "websocket"]);
  try {
    const upgraded = await isUpgraded(session.socket.io.engine);
    const milliseconds = performance.now() - start;
    const { arrived } = upgraded ? { arrived: true } : await question(session.socket, "upgrade_seen");
    return { upgraded, milliseconds, arrived };
  } finally {
    session.socket.disconnect();
  }
}

function isUpgraded(engine) {
  if (engine.transport.name === "websocket") {
    return true;
  }
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE, false);
    const settle = (upgraded) => {
      clearTimeout(timer);
      resolve(upgraded);
    };
    engine.once("upgrade", () => settle(true));
    engine.once("upgradeError", () => settle(false));
  });
}

/** Open a WebSocket without polling first. */
export async function tryWebSocket(io, service) {
  return withSession(io, service, ["websocket"], ({ milliseconds }) => ({ milliseconds }));
}

/** Send messages, one after the other, and time their way there and back. */
export async function tryRoundTrips(io, service, transports) {
  return withSession(io, service, transports, async ({ socket, transport }) => {
    const samples = [];
    for (let number = 0; number < ROUND_TRIPS; number += 1) {
      const start = performance.now();
      try {
        await question(socket, "heartbeat", { sent_at: number });
        samples.push(performance.now() - start);
      } catch {
        // Counted by its absence.
      }
    }
    return { samples, asked: ROUND_TRIPS, transport };
  });
}

/** Open sessions until two are served by different processes, and let each send the other a message. */
export async function tryProcesses(io, service, transports) {
  const sessions = [];
  const open = async () => {
    const { socket } = await openSession(io, service, transports);
    const session = { socket };
    sessions.push(session);
    return Object.assign(session, await question(socket, "greet"));
  };
  try {
    const first = await open();
    let other = first;
    while (other.process === first.process && sessions.length < PROCESS_TRIES) {
      other = await open();
    }
    const facts = { sessions: sessions.length, from: first.process, workers: first.workers, queue: first.message_queue };
    if (other.process === first.process) {
      return facts;
    }
    const delivered = (await isDelivered(first, other)) && (await isDelivered(other, first));
    return { ...facts, to: other.process, delivered };
  } finally {
    for (const { socket } of sessions) {
      socket.disconnect();
    }
  }
}

async function isDelivered(from, to) {
  const arrival = new Promise((resolve) => {
    setTimeout(resolve, PATIENCE, false);
    to.socket.once("delivered", (message) => resolve(message.process === from.process));
  });
  await question(from.socket, "deliver", { to: to.socket.id });
  return arrival;
}

/** Have the service cut the connection, and wait until the client is back by itself. */
export async function tryReconnect(io, service, transports) {
  const { socket } = await openSession(io, service, transports, { reconnection: true, reconnectionDelay: 100 });
  try {
    const reason = new Promise((resolve) => socket.once("disconnect", resolve));
    const back = new Promise((resolve, reject) => {
      setTimeout(reject, PATIENCE, new Error("it took too long"));
      socket.once("disconnect", () => socket.once("connect", resolve));
    });
    const start = performance.now();
    socket.emit("drop");
    await back;
    return { milliseconds: performance.now() - start, reason: await reason };
  } finally {
    socket.disconnect();
  }
}

/** Load a page in a frame, refresh it over and over, and hear from it whether it connects. */
export async function tryRefresh(address) {
  const loads = [];
  const frame = document.createElement("iframe");
  frame.hidden = true;
  document.body.append(frame);
  try {
    for (let load = 0; load < LOADS; load += 1) {
      const said = outcomeOf(frame);
      if (load === 0) {
        frame.src = address;
      } else {
        frame.contentWindow.location.reload();
      }
      loads.push(await said);
      if (!loads.at(-1).connected) {
        break;
      }
    }
  } finally {
    frame.remove();
  }
  return { loads, asked: LOADS };
}

function outcomeOf(frame) {
  return new Promise((resolve) => {
    const settle = (outcome) => {
      clearTimeout(timer);
      removeEventListener("message", hear);
      resolve(outcome);
    };
    const hear = (message) => {
      if (message.source === frame.contentWindow && message.data?.refreshed) {
        settle(message.data.refreshed);
      }
    };
    const timer = setTimeout(settle, 2 * PATIENCE, { connected: false, silent: true });
    addEventListener("message", hear);
  });
}

/**
 * Open a session and send nothing until the service's first ping, for half a minute at most.
 *
 * @param onProgress called with the seconds of silence so far and the most that there may be.
 * @param stop an AbortSignal that ends the wait.
 */
export async function trySilence(io, service, transports, onProgress, stop) {
  return withSession(io, service, transports, async ({ socket, transport }) => {
    const { ping_interval: pingInterval } = await question(socket, "greet");
    const start = performance.now();
    const silence = () => (performance.now() - start) / 1000;
    const longest = Math.min(pingInterval * 1.2 + 2, LONGEST_SILENCE / 1000);
    const progress = setInterval(() => onProgress(silence(), longest), PROGRESS_EVERY);
    const end = await new Promise((resolve) => {
      socket.io.once("ping", () => resolve({ ended: "ping" }));
      socket.once("disconnect", (reason) => resolve({ ended: "cut", reason }));
      const skip = () => resolve({ ended: "skipped" });
      stop.addEventListener("abort", skip);
      if (stop.aborted) {
        skip();
      }
      setTimeout(resolve, longest * 1000, { ended: "time" });
    });
    clearInterval(progress);
    return { ...end, seconds: silence(), pingInterval, transport };
  });
}
