// A connection that stays and knows how good it is, over the official Socket.IO client, which the page
// loads before (the global `io`). realtime.d.ts says what it takes and gives.

const DEFAULTS = {
  namespace: "/",
  path: pathBeside(import.meta.url),
  transports: ["polling", "websocket"],
  offline: "refuse",
  maxQueued: 100,
  answerTimeout: 10_000,
  reconnection: { base: 1000, cap: 30_000 },
  heartbeat: { event: "heartbeat", interval: 10_000, fast: 1000, timeout: 3000 },
  degraded: { roundTrip: 1000, loss: 0.1 },
};

// The figures are of so many heartbeats; the first few follow each other fast.
const WINDOW = 20;
const WARM_UP = 5;

// A connection that lasted so long was good: after it, delays are short again.
const STABLE = 10_000;

const MAX_REASONS = 20;

// The same request would be given the same answer.
const REFUSING_STATUS = new Set([400, 401, 403, 426]);

// What a service fails to do now, and may do later.
const PASSING = new Set(["internal", "unavailable"]);

const ENDINGS = {
  "transport close": "The connection was closed.",
  "transport error": "The connection broke.",
  "ping timeout": "The service was not heard from for too long.",
  "parse error": "The service sent what cannot be read.",
  "io server disconnect": "The service ended this session.",
};
const PUT_ASIDE = "page put aside";
const NO_SIGN_OF_LIFE = "no sign of life";

/** The path of the sessions: a prefix under which the service is served is before this module's path, too. */
function pathBeside(url) {
  const [, prefix = ""] = /^(.*)\/realtime\/realtime\.js$/.exec(new URL(url).pathname) ?? [];
  return `${prefix}/socket.io`;
}

/** A request that was refused, or that got no answer. */
export class RealtimeError extends Error {
  constructor({ code, message, request_id: requestId = null }) {
    super(message);
    this.name = "RealtimeError";
    this.code = code;
    this.requestId = requestId;
  }
}

/** A session with the service, and another one whenever it ends. */
export class Realtime extends EventTarget {
  #options;
  #window;
  #socket;
  #status = { state: "connecting", message: "", retrying: true };
  #queue = [];

  #retry;
  #attempt = 0;
  #connectedAt = null;
  #ending = "";
  #reconnects = 0;
  #reasons = [];

  #beat;
  #heartbeats = [];
  #heardAt = null;

  constructor({ io = globalThis.io, window = globalThis.window, origin, ...options } = {}) {
    super();
    if (typeof io !== "function") {
      throw new RealtimeError({ code: "no_client", message: "The Socket.IO client is not loaded." });
    }
    this.#options = withDefaults(options);
    this.#window = window;
    const { namespace, path, transports } = this.#options;
    this.#socket = io(`${origin ?? originNamedBy(window?.document)}${namespace}`, {
      path,
      transports,
      // Without this, a page that begins with a WebSocket has nothing to fall back to.
      tryAllTransports: transports[0] === "websocket",
      auth: (give) => this.#authenticate(give),
      // Reconnection is done here: the client's own delays are not spread over their whole length.
      reconnection: false,
      autoConnect: false,
      // A manager that is shared has the options of whoever came first.
      forceNew: true, // production: ignore[FSP904]
    });
    this.#followSocket(this.#socket);
    this.#followPage(window);
    this.#socket.connect();
  }

  get status() {
    return this.#status;
  }

  get connected() {
    return this.#socket.connected;
  }

  get id() {
    return this.#socket.id ?? null;
  }

  get transport() {
    return this.connected ? this.#socket.io.engine.transport.name : null;
  }

  get quality() {
    return {
      state: this.#status.state,
      transport: this.transport,
      ...figuresOf(this.#heartbeats),
      roundTrips: this.#heartbeats,
      reconnects: this.#reconnects,
      reasons: this.#reasons,
      silence: this.#heardAt === null ? null : performance.now() - this.#heardAt,
    };
  }

  /** Have a function called with what the service sends; return a function that ends this. */
  on(event, handler) {
    this.#socket.on(event, handler);
    return () => this.#socket.off(event, handler);
  }

  /** Send an event; return what it is acknowledged with. */
  async send(event, data, { timeout, offline = this.#options.offline } = {}) {
    if (this.connected) {
      return this.#emit(event, data, timeout);
    }
    if (offline !== "queue" || !this.#status.retrying) {
      throw notConnected();
    }
    if (this.#queue.length >= this.#options.maxQueued) {
      throw new RealtimeError({ code: "queue_full", message: "Too much waits for the connection already." });
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ send: () => resolve(this.#emit(event, data, timeout)), reject });
    });
  }

  /** Send an event to a service that acknowledges with `ok`; throw what it refuses. */
  async request(event, data, options) {
    const answer = await this.send(event, data, options);
    if (!answer?.ok) {
      throw new RealtimeError(answer?.error ?? { code: "no_error", message: "The service refused without a reason." });
    }
    return answer;
  }

  /** Connect now, even after a refusal. */
  reconnect() {
    if (!this.connected) {
      this.#attempt = 0;
      clearTimeout(this.#retry);
      this.#show("reconnecting", "Connecting again.");
      this.#socket.connect();
    }
  }

  /** End the session; only `reconnect` begins another. */
  close() {
    this.#leave();
    this.#giveUp("This page has closed the connection.");
  }

  async #emit(event, data, timeout = this.#options.answerTimeout) {
    try {
      return await this.#socket.timeout(timeout).emitWithAck(event, ...(data === undefined ? [] : [data]));
    } catch {
      throw new RealtimeError({ code: "no_answer", message: "The service did not answer." });
    }
  }

  // --- The session ----------------------------------------------------------

  #followSocket(socket) {
    socket.on("connect", () => this.#begin());
    socket.on("disconnect", (reason) => this.#end(reason));
    socket.on("connect_error", (error) => this.#fail(error));
    socket.io.on("open", () => {
      const { engine } = socket.io;
      engine.on("packet", () => {
        this.#heardAt = performance.now();
      });
      engine.on("upgrade", () => this.#tell("quality", this.quality));
    });
  }

  async #authenticate(give) {
    const { auth } = this.#options;
    try {
      give(typeof auth === "function" ? await auth() : auth);
    } catch (error) {
      this.#leave();
      this.#giveUp(`What signs this page in could not be had: ${error.message}`);
    }
  }

  #begin() {
    clearTimeout(this.#retry);
    const again = this.#connectedAt !== null;
    if (again) {
      this.#reconnects += 1;
      this.#reasons = [...this.#reasons, { reason: this.#ending, at: new Date() }].slice(-MAX_REASONS);
    }
    this.#connectedAt = performance.now();
    this.#ending = "";
    this.#heartbeats = [];
    this.#show("connected");
    this.#tell("session", { id: this.id, again });
    for (const waiting of this.#queue.splice(0)) {
      waiting.send();
    }
    this.#measure();
  }

  #end(reason) {
    clearTimeout(this.#beat);
    if (reason === "io client disconnect") {
      return;
    }
    this.#ending = reason;
    if (performance.now() - this.#connectedAt >= STABLE) {
      this.#attempt = 0;
    }
    if (reason === "io server disconnect") {
      this.#giveUp(ENDINGS[reason]);
    } else {
      this.#tryAgain(ENDINGS[reason] ?? `The connection ended: ${reason}.`);
    }
  }

  #fail(error) {
    const refusal = refusalIn(error);
    if (refusal) {
      this.#giveUp(refusal);
    } else {
      this.#tryAgain(failureIn(error));
    }
  }

  #tryAgain(message) {
    const { reconnection } = this.#options;
    const offline = this.#window?.navigator.onLine === false;
    // A browser that believes to be offline is not always right, so it is tried now and then.
    const delay = offline ? reconnection.cap : fullJitter(this.#attempt, reconnection);
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#socket.connect(), delay);
    this.#show(offline ? "offline" : "reconnecting", offline ? "This device is offline." : message);
  }

  #giveUp(message) {
    clearTimeout(this.#retry);
    for (const waiting of this.#queue.splice(0)) {
      waiting.reject(notConnected());
    }
    this.#show("offline", message, false);
  }

  #leave(reason = "") {
    clearTimeout(this.#retry);
    clearTimeout(this.#beat);
    this.#ending ||= reason;
    this.#socket.disconnect();
  }

  #show(state, message = "", retrying = true) {
    const { state: formerState, message: formerMessage, retrying: formerRetrying } = this.#status;
    if (state !== formerState || message !== formerMessage || retrying !== formerRetrying) {
      this.#status = { state, message, retrying };
      this.#tell("state", this.#status);
      this.#tell("quality", this.quality);
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // --- The page -------------------------------------------------------------

  #followPage(window) {
    if (!window) {
      return;
    }
    for (const change of ["online", "offline"]) {
      window.addEventListener(change, () => this.#tryAfresh());
    }
    // An open connection would keep the page out of the back-forward cache.
    window.addEventListener("pagehide", () => this.#status.retrying && this.#leave(PUT_ASIDE));
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#wake());
    window.document.addEventListener("visibilitychange", () => this.#isVisible() && this.#wake());
  }

  #isVisible() {
    return this.#window?.document.visibilityState !== "hidden";
  }

  /** The device has come to a network, or lost it: what was waited for so far says nothing any more. */
  #tryAfresh() {
    if (!this.connected && this.#status.retrying) {
      this.#attempt = 0;
      this.#tryAgain("The network is back.");
    }
  }

  /** Somebody looks at the page again. The connection may have died meanwhile, with or without a trace. */
  async #wake() {
    if (!this.#status.retrying) {
      return;
    }
    if (!this.connected) {
      this.reconnect();
      return;
    }
    const { id } = this;
    clearTimeout(this.#beat);
    const answered = await this.#measure();
    if (!answered && this.id === id) {
      this.#leave(NO_SIGN_OF_LIFE);
      this.reconnect();
    }
  }

  // --- The quality ----------------------------------------------------------

  /** Send a heartbeat, and the next one later; return whether it was answered. */
  async #measure() {
    if (!this.#isVisible()) {
      return true;
    }
    const { event, timeout, interval, fast } = this.#options.heartbeat;
    const { id } = this;
    const start = performance.now();
    const roundTrip = await this.#emit(event, this.#heartbeat(), timeout).then(() => performance.now() - start, () => null);
    if (this.id !== id) {
      return false;
    }
    this.#heartbeats = [...this.#heartbeats, roundTrip].slice(-WINDOW);
    const degraded = isDegraded(this.#heartbeats, this.#options.degraded);
    this.#show(degraded ? "degraded" : "connected", degraded ? "Answers are late or missing." : "");
    this.#tell("quality", this.quality);
    const settled = this.#heartbeats.length >= WARM_UP && !degraded;
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => this.#measure(), settled ? interval : fast);
    return roundTrip !== null;
  }

  #heartbeat() {
    const { state, transport, median, p95, jitter, loss, reconnects, reasons } = this.quality;
    return {
      sent_at: new Date().toISOString(),
      quality: {
        state,
        transport,
        median_ms: median,
        p95_ms: p95,
        jitter_ms: jitter,
        loss,
        reconnects,
        reason: reasons.at(-1)?.reason ?? "",
      },
    };
  }
}

/**
 * Milliseconds until the next try, drawn from the whole span up to an exponentially growing bound, so that
 * clients that lost their service together do not come back together (AWS Architecture Blog, "Exponential
 * Backoff And Jitter", 2015: full jitter).
 */
export function fullJitter(attempt, { base, cap }, random = Math.random) {
  return random() * Math.min(cap, base * 2 ** attempt);
}

/** Figures of round trips in milliseconds, oldest first; null is a heartbeat without an answer. */
export function figuresOf(roundTrips) {
  const answered = roundTrips.filter((one) => one !== null);
  const sorted = [...answered].sort((one, other) => one - other);
  const changes = answered.slice(1).map((one, number) => Math.abs(one - answered[number]));
  return {
    latest: roundTrips.at(-1) ?? null,
    median: percentile(sorted, 0.5),
    p95: percentile(sorted, 0.95),
    jitter: changes.length > 0 ? round(changes.reduce((sum, one) => sum + one, 0) / changes.length) : null,
    loss: roundTrips.length > 0 ? 1 - answered.length / roundTrips.length : 0,
    samples: roundTrips.length,
  };
}

/** The nearest rank. */
function percentile(sorted, share) {
  return sorted.length > 0 ? round(sorted[Math.ceil(share * sorted.length) - 1]) : null;
}

function round(milliseconds) {
  return Math.round(milliseconds * 10) / 10;
}

function isDegraded(roundTrips, limits) {
  const { latest, median, loss } = figuresOf(roundTrips);
  return latest === null || loss > limits.loss || median > limits.roundTrip;
}

/** Why a service will not have this client; empty if it could not be asked or may change its mind. */
function refusalIn(error) {
  const status = statusIn(error);
  if (REFUSING_STATUS.has(status)) {
    return `The service refused the connection (status ${status}): ${reasonIn(error.context)}`;
  }
  // An error that no transport made is the service's own answer.
  const answered = error.type !== "TransportError" && "data" in error;
  return answered && !PASSING.has(error.data?.code) ? `The service refused the connection: ${error.message}` : "";
}

function failureIn(error) {
  const status = statusIn(error);
  return status ? `The service answered with status ${status}.` : "The service cannot be reached.";
}

/** The HTTP status of a request that failed; 0 if there was no answer, or none that may be seen. */
function statusIn(error) {
  return Number.isInteger(error.description) ? error.description : 0;
}

function reasonIn(request) {
  try {
    const answer = JSON.parse(request.responseText);
    return answer.message ?? String(answer);
  } catch {
    return "no reason was given.";
  }
}

function notConnected() {
  return new RealtimeError({ code: "not_connected", message: "Not connected, so nothing was sent." });
}

/** The origin that a page names in an attribute; empty for its own. */
function originNamedBy(document) {
  return document?.querySelector("[data-realtime-origin]")?.dataset.realtimeOrigin ?? "";
}

function withDefaults(options) {
  const groups = ["reconnection", "heartbeat", "degraded"];
  const merged = groups.map((group) => [group, { ...DEFAULTS[group], ...options[group] }]);
  return { ...DEFAULTS, ...options, ...Object.fromEntries(merged) };
}
