// What the page /diagnostics makes of what it meets: a verdict, what was seen, and likely causes. Nothing
// here touches the page or the network; each `judge…` takes what a trial of diagnostics-trials.js saw.

import { CAUSES } from "./diagnostics-causes.js";
import { inMilliseconds, statistics } from "./diagnostics-figures.js";

const passed = (seen) => ({ verdict: "passed", seen, causes: [] });
const failed = (seen, ...causes) => ({ verdict: "failed", seen, causes });
const unknown = (seen, ...causes) => ({ verdict: "unknown", seen, causes });

/** The outcome of a step that was not tried. */
export const skipped = (seen, ...causes) => ({ verdict: "skipped", seen, causes });

/** The outcome of a step that the missing client library stands in the way of. */
export const withoutLibrary = (source) => skipped(`The Socket.IO client did not load from ${source}.`, CAUSES.libraryMissing);

/** @param facts `{ page, service }`: the URLs of both. */
export function judgeOrigin({ page, service }) {
  const from = new URL(page);
  const to = new URL(service);
  if (from.protocol === "file:") {
    return failed("The page is a file.", CAUSES.file);
  }
  if (isMixed(from, to)) {
    return failed(`The page is at ${from.origin}, the service at ${to.origin}.`, CAUSES.mixedContent);
  }
  if (from.origin !== to.origin) {
    return passed(`The page is at ${from.origin}, the service at ${to.origin}: it has to allow this origin, as the polling handshake will show.`);
  }
  const note = from.protocol === "https:" ? "" : " Not encrypted, which is fine on your own machine only.";
  return passed(`Page and service share ${from.origin}.${note}`);
}

/** Browsers make an exception for the machine itself (https://www.w3.org/TR/secure-contexts/). */
function isMixed(from, to) {
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(to.hostname);
  return from.protocol === "https:" && to.protocol === "http:" && !isLocal;
}

/** @param answer what `ask` of diagnostics-trials.js returned for /health/ready. */
export function judgeHealth(answer, crossOrigin) {
  if (answer.error) {
    return unreachable(answer, crossOrigin, "the health check");
  }
  const { status, milliseconds, body } = answer;
  if (status === 200) {
    return passed(`Ready, answered in ${inMilliseconds(milliseconds)}.`);
  }
  if (status === 502 || status === 504) {
    return failed(`The proxy answered ${status}.`, CAUSES.badGateway);
  }
  if (status === 503) {
    const checks = Object.entries(parsed(body)?.checks ?? {});
    const names = checks.filter(([, check]) => check.status !== "pass").map(([name]) => name);
    return failed(`Not ready: ${names.join(", ") || "503"}.`, CAUSES.notReady);
  }
  return unknown(`/health/ready answered ${status}: it is somebody else’s there.`, CAUSES.notForwarded);
}

/** A service of another origin need not let this page read its answers. */
function unreachable({ error, answers }, crossOrigin, what) {
  if (answers && crossOrigin) {
    return unknown(`The service answers, but does not let pages of this origin read ${what}, which is its right.`);
  }
  return failed(`No answer: ${error}.`, CAUSES.nothingThere);
}

/**
 * @param answer what `ask` returned for /diagnostics/request.
 * @param page the page’s URL.
 */
export function judgeRequest(answer, page, crossOrigin) {
  if (answer.error) {
    return unreachable(answer, crossOrigin, "what it saw of the request");
  }
  const saw = parsed(answer.body);
  if (answer.status !== 200 || !saw?.forwarded) {
    return unknown(`The service answered ${answer.status} and did not say what it saw.`);
  }
  const { protocol, host } = new URL(page);
  const names = Object.entries(saw.forwarded).map(([name, values]) => (values > 1 ? `${name} (${values} values)` : name));
  const seen = `The service saw ${saw.scheme}://${saw.host} and you as ${saw.client_address}; `
    + (names.length ? `the proxy sends ${names.join(", ")}, which is ${saw.believed ? "believed" : "not believed"}.` : "no proxy sends headers of its own.");
  const same = `${saw.scheme}:` === protocol && saw.host === host;
  const asked = same ? "" : ` Your browser asked for ${protocol}//${host}.`;
  if (names.length && !saw.believed) {
    return failed(seen + asked, CAUSES.unknownProxy);
  }
  if (!same) {
    return failed(seen + asked, CAUSES.wrongOrigin);
  }
  return saw.too_few ? failed(seen, CAUSES.absentProxy) : passed(seen);
}

/** @param facts `{ opened, joined }`: the answers of the first request and of the one that joins. */
export function judgePolling({ opened, joined }, crossOrigin) {
  if (opened.error && opened.answers && crossOrigin) {
    return failed("Something answers there, but not for pages of this origin.", CAUSES.twoPorts);
  }
  if (opened.error) {
    return failed(`No answer: ${opened.error}.`, CAUSES.nothingThere);
  }
  if (/transport/i.test(opened.body)) {
    return skipped("The service takes no polling: its TRANSPORTS are websocket only.");
  }
  if (!opened.session) {
    return failed(`The service answered ${opened.status}${quoted(opened.body)} instead of opening a session.`, causeOfStatus(opened));
  }
  if (joined.error || joined.status !== 200) {
    const what = joined.error ?? `${joined.status}${quoted(joined.body)}`;
    return failed(`A session was opened, but its next request failed: ${what}.`, causeOfStatus(joined));
  }
  const offers = opened.session.upgrades.includes("websocket") ? "a WebSocket is offered" : "no WebSocket is offered";
  return passed(`A session was opened and joined in ${inMilliseconds(opened.milliseconds + joined.milliseconds)}; ${offers}.`);
}

function causeOfStatus({ status, body = "" }) {
  if (/origin/i.test(body)) {
    return CAUSES.wrongOrigin;
  }
  if (/session/i.test(body)) {
    return CAUSES.notSticky;
  }
  return { 502: CAUSES.badGateway, 503: CAUSES.notReady, 504: CAUSES.badGateway }[status] ?? CAUSES.notForwarded;
}

const CONSTANTS = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };

/** What `judgeConstants` needs to know of a `window.WebSocket` (WHATWG WebSockets, section 3.1). */
export function describeWebSocket(found) {
  if (typeof found !== "function") {
    return { source: String(found), constants: {}, inherited: {} };
  }
  const read = (from) => Object.fromEntries(Object.keys(CONSTANTS).map((name) => [name, from?.[name]]));
  return {
    source: Function.prototype.toString.call(found).replace(/\s+/g, " "),
    constants: read(found),
    inherited: read(found.prototype),
  };
}

/** @param facts what `describeWebSocket` returned. */
export function judgeConstants({ source, constants, inherited }) {
  const wrong = Object.entries(CONSTANTS)
    .filter(([name, value]) => constants[name] !== value || inherited[name] !== value)
    .map(([name, value]) => `${name} is ${constants[name]} instead of ${value}`);
  if (source !== "function WebSocket() { [native code] }") {
    const also = wrong.length ? ` ${wrong.join(", ")}.` : "";
    return failed(`window.WebSocket is not the browser’s own.${also}`, CAUSES.patched);
  }
  return wrong.length ? failed(`${wrong.join(", ")}.`, CAUSES.patched) : passed("window.WebSocket is the browser’s own, with CONNECTING 0, OPEN 1, CLOSING 2, CLOSED 3.");
}

/** @param facts `{ upgraded, milliseconds, arrived }`, or `{ error }` if no session came about. */
export function judgeUpgrade({ error, upgraded, milliseconds, arrived }, patched) {
  if (error) {
    return unknown(`No session could be opened with polling: ${error}.`);
  }
  if (upgraded) {
    return passed(`The session went from polling to a WebSocket in ${inMilliseconds(milliseconds)}.`);
  }
  const suspects = patched ? [CAUSES.patched] : [];
  const seen = "The session stays with polling.";
  if (arrived === false) {
    return failed(`${seen} Its request for a WebSocket reached the service without the header Upgrade.`, CAUSES.upgradeHeaders);
  }
  if (arrived === true) {
    return failed(`${seen} Its request for a WebSocket reached the service.`, ...suspects, CAUSES.answerLost);
  }
  return failed(`${seen} Its request for a WebSocket did not reach the service.`, ...suspects, CAUSES.notLetThrough);
}

/**
 * @param facts `{ milliseconds }`, or `{ error }` if it did not connect.
 * @param known `{ patched, arrived, pollingCauses }`, from the steps before.
 */
export function judgeWebSocket({ error, milliseconds }, { patched, arrived, pollingCauses = [] }) {
  if (!error) {
    return passed(`A WebSocket was opened without polling first, in ${inMilliseconds(milliseconds)}.`);
  }
  const seen = `No WebSocket could be opened: ${error}.`;
  if (arrived === false) {
    return failed(seen, CAUSES.upgradeHeaders);
  }
  if (patched) {
    return failed(seen, CAUSES.patched);
  }
  if (pollingCauses.length) {
    return failed(seen, ...pollingCauses);
  }
  if (arrived === true) {
    return failed(seen, CAUSES.refusing, CAUSES.answerLost);
  }
  return failed(seen, CAUSES.upgradeHeaders, CAUSES.notLetThrough);
}

/** @param facts `{ samples, asked, transport }`: milliseconds of those that came back. */
export function judgeRoundTrip({ samples, asked, transport }) {
  if (samples.length === 0) {
    return failed(`None of ${asked} messages came back.`, CAUSES.slowPath);
  }
  const { median, p95, jitter } = statistics(samples);
  const figures = `median ${inMilliseconds(median)}, 95th percentile ${inMilliseconds(p95)}, jitter ${inMilliseconds(jitter)}`;
  const lost = asked - samples.length;
  const seen = `${samples.length} of ${asked} messages came back over ${transport}: ${figures}.`;
  return lost ? failed(seen, CAUSES.slowPath) : passed(seen);
}

/** @param facts `{ sessions, from, to, workers, queue, delivered }`, see `crossProcesses`. */
export function judgeProcesses({ sessions, from, to, workers, queue, delivered }) {
  if (!to) {
    return workers > 1
      ? unknown(`${sessions} sessions were all served by ${from}, although there are ${workers} workers.`)
      : skipped(`One process only: ${from}.`);
  }
  if (delivered) {
    return passed(`A message from ${from} reached a session of ${to}, and the other way round.`);
  }
  return failed(`A message from ${from} did not reach a session of ${to}.`, queue ? CAUSES.queueBroken : CAUSES.queueMissing);
}

/** @param facts `{ milliseconds, reason }`, or `{ error }` if it did not come back. */
export function judgeReconnect({ error, milliseconds, reason }) {
  return error
    ? failed(`The connection was cut, and the page did not come back: ${error}.`, CAUSES.refusing)
    : passed(`The connection was cut (${reason}), and the page was back after ${inMilliseconds(milliseconds)}.`);
}

/** @param loads what the frame said each time: `{ connected, transport, milliseconds, message }`, or `{ silent }`. */
export function judgeRefresh(loads, asked) {
  const lost = loads.find((load) => !load.connected);
  if (lost?.silent) {
    return unknown(`Load ${loads.indexOf(lost) + 1} of ${asked} said nothing: headers that the app adds, such as X-Frame-Options, may forbid the frame that this step needs.`);
  }
  if (lost) {
    return failed(`Load ${loads.indexOf(lost) + 1} of ${asked} did not connect: ${lost.message}.`, CAUSES.refusing, CAUSES.workerDied);
  }
  const slowest = Math.max(...loads.map((load) => load.milliseconds));
  return passed(`A page was refreshed ${asked - 1} times and connected each time (${loads[0].transport}), within ${inMilliseconds(slowest)}.`);
}

/** @param facts `{ seconds, ended, pingInterval, transport }`: how long nothing was sent, and what ended it. */
export function judgeSilence({ seconds, ended, pingInterval, transport, reason }) {
  const lasted = `${seconds.toFixed(1)} s`;
  const interval = `${pingInterval} s`;
  if (ended === "ping") {
    return passed(`Silent for ${lasted} over ${transport}, until the service’s ping: nothing cut the connection. It is never silent for longer, as pings are ${interval} apart.`);
  }
  if (ended === "cut") {
    return failed(`The connection was cut after ${lasted} of silence (${reason}), before the ping that comes every ${interval}.`, CAUSES.impatientProxy, CAUSES.workerDied);
  }
  if (ended === "skipped") {
    return skipped(`Stopped by you after ${lasted} of silence, during which nothing cut the connection.`);
  }
  return unknown(`Nothing cut the connection during ${lasted} of silence; pings are ${interval} apart, which would take longer than this test.`);
}

const quoted = (body) => (body ? ` (${body.slice(0, 120).replace(/\s+/g, " ")})` : "");

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
