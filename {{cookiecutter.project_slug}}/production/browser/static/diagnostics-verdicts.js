// What the page /diagnostics makes of what it meets: verdicts, causes and the report. Nothing here
// touches the page or the network; each `judge…` takes what a step has seen.

/** How a step came out, and what a reader is told of it. */
export const VERDICTS = {
  passed: "Passed",
  failed: "Failed",
  unknown: "Could not tell",
  skipped: "Skipped",
};

/** The steps in their order. */
export const STEPS = [
  {
    id: "origin",
    name: "Page origin and scheme",
    why: "Sessions are opened at the origin of the page, unless its code names another one, which then has to allow it.",
  },
  {
    id: "health",
    name: "HTTP health",
    why: "Without plain HTTP nothing else gets through, and a process that is not ready takes no new sessions.",
  },
  {
    id: "request",
    name: "Proxy headers",
    why: "The service compares a page’s origin with the scheme and host that it was asked for, and a proxy that does not hand them on makes it refuse its own pages.",
  },
  {
    id: "polling",
    name: "Polling handshake",
    why: "Every session starts with long polling by default, and keeps to it where WebSockets do not work.",
  },
  {
    id: "constants",
    name: "WebSocket constants",
    why: "Code that puts another class in the place of window.WebSocket breaks every client library of the page.",
  },
  {
    id: "upgrade",
    name: "Upgrade to WebSocket",
    why: "A session that stays with polling costs a request for each message, and arrives later.",
  },
  {
    id: "websocket",
    name: "Direct WebSocket",
    why: "Native clients often skip polling. Development servers break here first.",
  },
  {
    id: "roundTrip",
    name: "Round trip",
    why: "What every click waits for. A median that is fine and a 95th percentile that is not is a busy service or a bad network.",
  },
  {
    id: "processes",
    name: "Message across processes",
    why: "What one process emits has to reach the clients of all the others.",
  },
  {
    id: "reconnect",
    name: "Reconnect after a drop",
    why: "Connections are cut by deployments, tunnels and sleeping laptops. The page has to come back by itself.",
  },
  {
    id: "refresh",
    name: "Refresh",
    why: "A refresh leaves the old session without a goodbye while the new one arrives.",
  },
  {
    id: "silence",
    name: "Proxy time-out",
    why: "Between two pings nothing is sent. A proxy that is less patient cuts the connection, again and again.",
  },
];

// --- Causes -----------------------------------------------------------------

// What may be wrong, what to do, and the lines of a configuration that do it.
const CAUSES = {
  mixedContent: {
    cause: "Mixed content: the page came over https, and browsers let it open nothing that is not encrypted.",
    fix: "Serve the service over https as well, best at the page’s own origin, and call io() without an address.",
  },
  file: {
    cause: "The page was opened as a file, which has no origin that a service could allow.",
    fix: "Open it from the service.",
  },
  twoPorts: {
    cause: "Two ports: the page comes from one server, its sessions are opened at another, which does not allow the page’s origin.",
    fix: "Serve both at one address and call io() without one; or name the page’s origin in ALLOWED_ORIGINS of the service.",
  },
  nothingThere: {
    cause: "Nothing answers at that address: the service does not run there, its port is not the one in the page’s code, or a firewall is in between.",
    fix: "Compare the address with BIND and with the proxy’s configuration.",
  },
  wrongOrigin: {
    cause: "Wrong origin: the service was told another scheme or host than the page’s, and takes the page for a stranger’s.",
    fix: "Let the proxy hand on Host and X-Forwarded-Proto, and set TRUSTED_PROXIES to the number of proxies in front; name pages of other hosts in ALLOWED_ORIGINS.",
  },
  unknownProxy: {
    cause: "There is a proxy in front that the service does not know of, so that all visitors look like one and its own pages may look foreign.",
    fix: "Set TRUSTED_PROXIES to the number of proxies in front of it.",
  },
  absentProxy: {
    cause: "The service trusts more proxies than the header X-Forwarded-For names: it takes a proxy for the visitor, or whoever comes past the proxies can say anything.",
    fix: "Set TRUSTED_PROXIES to the number of proxies in front of it, and let each of them send X-Forwarded-For.",
  },
  notForwarded: {
    cause: "The proxy does not hand requests for sessions to the service, or hands them to another one.",
    fix: "Forward the path of the sessions, /socket.io/ by default, to the same server as the page.",
  },
  notReady: {
    cause: "The service is starting, leaving, late, full, or without its message queue.",
    fix: "Ask /health/ready which check fails; the log says why.",
  },
  badGateway: {
    cause: "The proxy does not reach the service.",
    fix: "See whether the service runs, and whether the proxy is given its address.",
  },
  notSticky: {
    cause: "The requests of one session reach different processes or hosts, which do not know it.",
    fix: "Serve all workers with one gunicorn of this layer, and route between hosts by deploy/nginx/.",
  },
  upgradeHeaders: {
    cause: "Missing upgrade headers: a proxy forwards the request without Upgrade and Connection, which then asks for no WebSocket.",
    fix: "Let it forward them. For nginx, where it says proxy_pass:",
    lines: ["proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $http_connection;"],
  },
  notLetThrough: {
    cause: "Something between this browser and the service does not let WebSockets through: a company’s proxy, a virus scanner, or a firewall.",
    fix: "Try another network. Sessions work with polling meanwhile; https lets most such devices look away.",
  },
  answerLost: {
    cause: "The request reached the service as it should; its answer did not get back.",
    fix: "See the proxy’s error log for the time of this test, and the service’s for a refusal.",
  },
  patched: {
    cause: "A script or a browser extension has put another class in the place of window.WebSocket, often one that rewrites the port.",
    fix: "Remove it: the page’s code calls io() without an address, and the proxy forwards to the right port.",
  },
  queueMissing: {
    cause: "The processes have no message queue, so they do not hear each other.",
    fix: "Set REDIS_URL, the same for all processes.",
  },
  queueBroken: {
    cause: "The processes do not share a message queue: it is away, or they name different ones.",
    fix: "Give all of them the same REDIS_URL and SERVICE_NAME; /health says what the queue does.",
  },
  impatientProxy: {
    cause: "The proxy’s time-out for silent connections is shorter than the time between two pings.",
    fix: "Raise it above PING_INTERVAL + PING_TIMEOUT, or lower both, and set PROXY_READ_TIMEOUT to what it is. For nginx:",
    lines: ["proxy_read_timeout 60s;"],
  },
  workerDied: {
    cause: "The process that served the session has ended.",
    fix: "Look for the reason in the service’s log.",
  },
  refusing: {
    cause: "The service was away for a moment, or refuses new sessions.",
    fix: "Ask /health/ready, and compare MAX_SESSIONS with the number of sessions.",
  },
  libraryMissing: {
    cause: "The Socket.IO client could not be loaded, so that only what needs no library was tried.",
    fix: "Run make assets, so that the service itself has it.",
  },
  slowPath: {
    cause: "The service’s loop is held up by a handler, or the network drops packets.",
    fix: "Compare with event_loop_lag of /health/ready, and try another network.",
  },
};

const passed = (seen) => ({ verdict: "passed", seen, causes: [] });
const failed = (seen, ...causes) => ({ verdict: "failed", seen, causes });
const unknown = (seen, ...causes) => ({ verdict: "unknown", seen, causes });

/** The outcome of a step that was not tried. */
export const skipped = (seen, ...causes) => ({ verdict: "skipped", seen, causes });

/** The outcome of a step that the missing client library stands in the way of. */
export const withoutLibrary = (source) => skipped(`The Socket.IO client did not load from ${source}.`, CAUSES.libraryMissing);

// --- Judgements -------------------------------------------------------------

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

/** @param answer what `ask` of diagnostics-steps.js returned for /health/ready. */
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

// --- Figures ----------------------------------------------------------------

/** Median, 95th percentile (nearest rank) and mean difference of neighbours (as in RFC 3550, unsmoothed). */
export function statistics(samples) {
  const sorted = [...samples].sort((one, other) => one - other);
  const rank = (share) => sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];
  const steps = samples.slice(1).map((sample, index) => Math.abs(sample - samples[index]));
  const jitter = steps.length ? steps.reduce((sum, step) => sum + step, 0) / steps.length : 0;
  return { median: rank(0.5), p95: rank(0.95), jitter };
}

/** The points of a line through samples, for an SVG `polyline` of that size. */
export function sparkline(samples, width, height) {
  const highest = Math.max(...samples, Number.MIN_VALUE);
  const step = samples.length > 1 ? width / (samples.length - 1) : 0;
  return samples
    .map((sample, index) => `${(index * step).toFixed(1)},${(height - (sample / highest) * height).toFixed(1)}`)
    .join(" ");
}

/** Milliseconds as people read them. */
export function inMilliseconds(milliseconds) {
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

// --- The report -------------------------------------------------------------

/** How many steps came out in which way, in one sentence. */
export function summary(results) {
  const counts = Object.keys(VERDICTS)
    .map((verdict) => [verdict, results.filter((result) => result.verdict === verdict).length])
    .filter(([, count]) => count > 0)
    .map(([verdict, count]) => `${count} ${VERDICTS[verdict].toLowerCase()}`);
  return `${results.length} steps: ${counts.join(", ")}.`;
}

/** @param about `{ page, service, browser, time }`. */
export function report(about, results) {
  const lines = [
    `Diagnostics of ${about.service}`,
    `Page      ${about.page}`,
    `Browser   ${about.browser}`,
    `Time      ${about.time}`,
    "",
    summary(results),
  ];
  for (const { name, verdict, seen, causes } of results) {
    lines.push("", `[${VERDICTS[verdict]}] ${name}`, `  ${seen}`);
    for (const { cause, fix, lines: configuration = [] } of causes) {
      lines.push(`  Likely cause: ${cause}`, `  What to do:   ${fix}`);
      lines.push(...configuration.map((line) => `                ${line}`));
    }
  }
  return `${lines.join("\n")}\n`;
}

const quoted = (body) => (body ? ` (${body.slice(0, 120).replace(/\s+/g, " ")})` : "");

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
