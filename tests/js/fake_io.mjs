// The official client as realtime.js sees it, without a network: a test says what happens.

class Emitter {
  #listeners = new Map();

  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((one) => one !== listener));
  }

  happens(event, ...data) {
    for (const listener of this.#listeners.get(event) ?? []) {
      listener(...data);
    }
  }
}

/** A socket that connects when it is told to, and remembers what was sent. */
export class FakeSocket extends Emitter {
  io = Object.assign(new Emitter(), { engine: Object.assign(new Emitter(), { transport: { name: "polling" } }) });
  connected = false;
  tries = 0;
  sent = [];
  #sessions = 0;
  #waiting = new Set();

  /** What each event is acknowledged with; without a function for it, it is not. */
  answers = { heartbeat: () => ({ ok: true }) };

  constructor(uri, options) {
    super();
    Object.assign(this, { uri, options });
  }

  connect() {
    this.tries += 1;
  }

  disconnect() {
    this.lose("io client disconnect");
  }

  welcome() {
    this.#sessions += 1;
    this.id = `session-${this.#sessions}`;
    this.connected = true;
    this.io.happens("open");
    this.happens("connect");
  }

  lose(reason = "transport close") {
    const was = this.connected;
    this.connected = false;
    this.id = undefined;
    for (const reject of this.#waiting) {
      reject(new Error("socket has been disconnected"));
    }
    this.#waiting.clear();
    if (was) {
      this.happens("disconnect", reason);
    }
  }

  fail({ message = "xhr poll error", status, body = "", code } = {}) {
    const error = new Error(message);
    if (status === undefined && code !== undefined) {
      this.happens("connect_error", Object.assign(error, { data: { code } }));
      return;
    }
    const context = { responseText: body };
    this.happens("connect_error", Object.assign(error, { type: "TransportError", description: status, context }));
  }

  timeout(milliseconds) {
    return {
      emitWithAck: (event, ...data) => new Promise((resolve, reject) => {
        this.sent.push({ event, data });
        const answer = this.answers[event];
        if (answer) {
          resolve(answer(...data));
          return;
        }
        this.#waiting.add(reject);
        setTimeout(reject, milliseconds, new Error("operation has timed out")).unref();
      }),
    };
  }

  eventsSent() {
    return this.sent.map(({ event }) => event).filter((event) => event !== "heartbeat");
  }
}

/** A page's window: visible and online until a test says otherwise. */
export class FakeWindow extends EventTarget {
  navigator = { onLine: true };
  document = Object.assign(new EventTarget(), { visibilityState: "visible", querySelector: () => null });

  goes(online) {
    this.navigator.onLine = online;
    this.dispatchEvent(new Event(online ? "online" : "offline"));
  }

  hides() {
    this.document.visibilityState = "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  shows() {
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  putAside() {
    this.dispatchEvent(new Event("pagehide"));
  }

  broughtBack() {
    this.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  }
}
