// How the operators' page shows what ops-model.js knows. What has not changed is not touched.

import { describe, formatCount, formatDuration, formatRate, LogBook, MOST_RECORDS, Series } from "./ops-model.js";

const SVG = "http://www.w3.org/2000/svg";
const [CURVE_WIDTH, CURVE_HEIGHT] = [160, 36];

export const byId = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** What the states of the connection are called, and are a sign of. */
const STATES = {
  connecting: { text: "Connecting", signal: "wait" },
  connected: { text: "Watching", signal: "good" },
  degraded: { text: "Watching, with delay", signal: "wait" },
  reconnecting: { text: "Reconnecting", signal: "wait" },
  offline: { text: "Not watching", signal: "none" },
};

/** What each state of a process or of the queue is a sign of. */
const SIGNALS = { ready: "good", leaving: "wait", failing: "bad", silent: "bad" };

const TOTALS = {
  sessions: ({ sessions, most }) => `${formatCount(sessions)} of ${formatCount(most)}`,
  handled: ({ handled }) => formatRate(handled),
  delivered: ({ delivered }) => formatRate(delivered),
  failed: ({ failed }) => formatRate(failed),
  lag: ({ lag }) => `${formatRate(lag)} ms`,
  waiting: ({ waiting }) => formatCount(waiting),
};

export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function setState(element, name) {
  if (element.dataset.state !== name) {
    element.dataset.state = name;
  }
}

function cloneOf(templateId) {
  return byId(templateId).content.cloneNode(true).firstElementChild;
}

/** Keep one row for each item, in their order, touching only what has changed. */
function showRows(body, templateId, items, keyOf, fill) {
  const rows = new Map([...body.children].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const row = rows.get(key) ?? cloneOf(templateId);
    rows.delete(key);
    row.dataset.key = key;
    fill(row, item);
    if (body.children[index] !== row) {
      body.insertBefore(row, body.children[index] ?? null);
    }
  });
  for (const row of rows.values()) {
    row.remove();
  }
}

function fillCells(row, texts) {
  for (const [name, text] of Object.entries(texts)) {
    setText(row.querySelector(`[data-cell="${name}"]`), text);
  }
}

function createCurve() {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", `0 -2 ${CURVE_WIDTH} ${CURVE_HEIGHT + 4}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return { svg, path };
}

/** The figures of the whole service, each with its last two minutes. */
export function createTotals() {
  const tiles = Object.keys(TOTALS).map((name) => {
    const place = document.querySelector(`[data-total="${name}"] dd`);
    const figure = document.createElement("span");
    const { svg, path } = createCurve();
    place.append(figure, svg);
    return { name, figure, path, series: new Series() };
  });
  return {
    show(totals) {
      for (const { name, figure, path, series } of tiles) {
        series.add(totals[name]);
        setText(figure, TOTALS[name](totals));
        path.setAttribute("d", series.path(CURVE_WIDTH, CURVE_HEIGHT));
      }
    },
    clear() {
      for (const { series } of tiles) {
        series.clear();
      }
    },
  };
}

export function showProcesses(processes) {
  showRows(byId("processes"), "process-row", processes, ({ process }) => process, (row, each) => {
    const { sessions, rates } = each;
    fillCells(row, {
      process: each.process,
      pid: `${each.mode}, process ${each.pid}`,
      state: each.state.text,
      sessions: `${formatCount(sessions.open)} of ${formatCount(sessions.most)}`,
      websocket: formatCount(sessions.websocket),
      polling: formatCount(sessions.polling),
      handled: formatRate(rates.handled),
      delivered: formatRate(rates.delivered),
      lag: `${formatRate(each.lag * 1000)} ms`,
      uptime: formatDuration(each.uptime),
    });
    setState(row.querySelector(".state"), SIGNALS[each.state.name]);
    row.querySelector(".load").style.setProperty("--share", Math.min(1, sessions.open / sessions.most).toFixed(3));
  });
}

export function showRooms({ largest, more }) {
  showRows(byId("rooms"), "room-row", largest, ({ key }) => key, (row, room) => {
    fillCells(row, {
      room: room.room,
      namespace: room.namespace,
      sessions: formatCount(room.sessions),
      processes: formatCount(room.processes),
    });
  });
  const none = largest.length === 0 ? "Nobody is in a room." : "";
  setText(byId("rooms-note"), more > 0 ? `${formatCount(more)} smaller ones are not shown.` : none);
}

export function showQuality({ known, degraded, bands, worst }) {
  const said = known === 1 ? "1 client measures its connection" : `${formatCount(known)} clients measure their connection`;
  const note = degraded > 0 ? `${said}, ${formatCount(degraded)} of them degraded.` : `${said}.`;
  setText(byId("quality-note"), known === 0 ? "No client measures its connection." : note);
  const most = Math.max(1, ...bands);
  [...byId("bands").querySelectorAll("dd")].forEach((place, index) => {
    const count = bands[index] ?? 0;
    setText(place, formatCount(count));
    place.style.setProperty("--share", (count / most).toFixed(3));
  });
  byId("worst-details").hidden = known === 0;
  const inMilliseconds = (value) => (value === null ? "–" : `${formatRate(value)} ms`);
  showRows(byId("worst"), "worst-row", worst, ({ session }) => session, (row, each) => {
    fillCells(row, {
      session: each.session,
      state: `${each.state}, ${each.transport}`,
      median: inMilliseconds(each.median_ms),
      p95: inMilliseconds(each.p95_ms),
      loss: `${formatRate(each.loss * 100)} %`,
      reconnects: formatCount(each.reconnects),
    });
  });
}

export function showQueue(queue) {
  const state = byId("queue-state");
  const text = state.lastElementChild;
  byId("queue-facts").hidden = queue === null;
  if (queue === null) {
    setState(state, "none");
    setText(text, "None: the service is one process.");
    return;
  }
  const lost = queue.lost.map(({ process, reason }) => `${process}: ${reason}`).join("; ");
  setState(state, lost ? "bad" : "good");
  setText(text, lost ? `Lost. ${lost}` : "Every process hears it");
  for (const place of byId("queue-facts").querySelectorAll("[data-queue]")) {
    setText(place, formatCount(queue[place.dataset.queue]));
  }
}

function lineOf({ record }) {
  const { time, level, event, details, trace } = describe(record);
  const line = cloneOf("log-line");
  const written = new Date(time);
  line.querySelector("time").textContent = Number.isNaN(written.valueOf()) ? "" : clock.format(written);
  line.querySelector("time").dateTime = time;
  line.querySelector(".level").textContent = level;
  line.querySelector(".event").textContent = event;
  line.querySelector(".details").textContent = details;
  line.dataset.level = level;
  if (trace) {
    const block = document.createElement("pre");
    block.textContent = trace;
    line.append(block);
  }
  return line;
}

/** The log, newest last; it follows the newest unless its reader has scrolled away or pauses it. */
export function createLog() {
  const book = new LogBook();
  const lines = byId("lines");
  const list = lines.firstElementChild;
  const pause = byId("log-pause");
  // The numbers of the last record that is shown, and of the one at which the log stands still.
  let shown = 0;
  let pausedAt = null;

  function showNews() {
    const upTo = pausedAt ?? book.last;
    const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    list.append(...book.between(shown, upTo).map(lineOf));
    shown = upTo;
    while (list.children.length > MOST_RECORDS) {
      list.firstElementChild.remove();
    }
    if (follows) {
      lines.scrollTop = lines.scrollHeight;
    }
    showNote();
  }

  function showNote() {
    const { dropped } = book;
    const notes = [];
    if (pausedAt !== null) {
      notes.push(`Paused, ${formatCount(book.between(pausedAt, book.last).length)} more since.`);
    }
    if (dropped > 0) {
      notes.push(`${formatCount(dropped)} records were left out, since more were written than can be watched.`);
    }
    setText(byId("log-note"), notes.join(" "));
  }

  function showAnew() {
    list.replaceChildren();
    shown = 0;
    showNews();
    lines.scrollTop = lines.scrollHeight;
  }

  byId("log-level").addEventListener("change", ({ target }) => {
    book.level = target.value;
    showAnew();
  });
  byId("log-filter").addEventListener("input", ({ target }) => {
    book.text = target.value;
    showAnew();
  });
  byId("log-clear").addEventListener("click", () => {
    book.clear();
    showAnew();
  });
  pause.addEventListener("click", () => {
    pausedAt = pausedAt === null ? book.last : null;
    pause.setAttribute("aria-pressed", String(pausedAt !== null));
    showNews();
  });

  return {
    add(batch) {
      book.add(batch);
      showNews();
    },
    clear() {
      book.clear();
      showAnew();
    },
  };
}

export function showConnection(name, message) {
  const { text, signal } = STATES[name];
  setText(byId("state"), text);
  setText(byId("state-message"), message);
  setState(byId("connection"), signal);
}

export function showDesk() {
  byId("token").value = "";
  byId("entrance").hidden = true;
  byId("desk").hidden = false;
  byId("leave").hidden = false;
  byId("totals-heading").focus();
}

export function showEntrance(problem) {
  byId("entrance").hidden = false;
  byId("desk").hidden = true;
  byId("leave").hidden = true;
  setText(byId("problem"), problem);
  byId("token").focus();
}
