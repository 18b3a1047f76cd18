// The page /diagnostics: runs the steps one after another and writes what came of each.

import { sparkline } from "./diagnostics-figures.js";
import { report, summary, VERDICTS } from "./diagnostics-report.js";
import { STEPS } from "./diagnostics-steps.js";
import * as trials from "./diagnostics-trials.js";
import * as verdicts from "./diagnostics-verdicts.js";

const byId = (id) => document.getElementById(id);
const copy = (id) => byId(id).content.cloneNode(true).firstElementChild;

/** What each step tries and makes of it, by its id; `known` is what the steps before have found out. */
const RUNS = {
  async origin({ service, known }) {
    const result = verdicts.judgeOrigin({ page: location.href, service: service.origin });
    known.blocked = result.verdict === "failed";
    return result;
  },

  async health({ service }) {
    const answer = await trials.ask(`${service.origin}${service.root}/health/ready`);
    return verdicts.judgeHealth(answer, service.crossOrigin);
  },

  async request({ service }) {
    const answer = await trials.ask(`${service.origin}${service.root}/diagnostics/request`);
    return verdicts.judgeRequest(answer, location.href, service.crossOrigin);
  },

  async polling({ service, known }) {
    const facts = await trials.tryPolling(service);
    const result = verdicts.judgePolling(facts, service.crossOrigin);
    known.pollingWorks = result.verdict === "passed";
    known.pollingCauses = result.causes;
    known.offersWebSocket = facts.opened.session?.upgrades.includes("websocket") ?? true;
    return result;
  },

  async constants({ known }) {
    const result = verdicts.judgeConstants(verdicts.describeWebSocket(window.WebSocket));
    known.patched = result.verdict === "failed";
    return result;
  },

  async upgrade({ io, service, known }) {
    if (!known.pollingWorks) {
      return verdicts.skipped("There is no session to upgrade, see the polling handshake.");
    }
    if (!known.offersWebSocket) {
      return verdicts.skipped("The service offers no WebSocket: its TRANSPORTS are polling only.");
    }
    const facts = await trials.tryUpgrade(io, service).catch(({ message }) => ({ error: message }));
    known.arrived = facts.arrived;
    return verdicts.judgeUpgrade(facts, known.patched);
  },

  async websocket({ io, service, known }) {
    if (!known.offersWebSocket) {
      return verdicts.skipped("The service offers no WebSocket: its TRANSPORTS are polling only.");
    }
    const facts = await trials.tryWebSocket(io, service).catch(({ message }) => ({ error: message }));
    known.webSocketWorks = !facts.error;
    return verdicts.judgeWebSocket(facts, known);
  },

  async roundTrip({ io, service, transports, show }) {
    const facts = await trials.tryRoundTrips(io, service, transports);
    show.drawLine(facts.samples);
    return verdicts.judgeRoundTrip(facts);
  },

  async processes({ io, service, transports }) {
    return verdicts.judgeProcesses(await trials.tryProcesses(io, service, transports));
  },

  async reconnect({ io, service, transports }) {
    const facts = await trials.tryReconnect(io, service, transports).catch(({ message }) => ({ error: message }));
    return verdicts.judgeReconnect(facts);
  },

  async refresh({ service, transports }) {
    const address = new URL("diagnostics/frame", document.baseURI);
    address.search = new URLSearchParams({ service: service.origin, transports });
    const { loads, asked } = await trials.tryRefresh(address.href);
    return verdicts.judgeRefresh(loads, asked);
  },

  async silence({ io, service, transports, show }) {
    const stop = show.skippable();
    return verdicts.judgeSilence(await trials.trySilence(io, service, transports, show.progress, stop));
  },
};

const WITHOUT_LIBRARY = new Set(["origin", "health", "request", "polling", "constants"]);
const NEEDS_SESSION = new Set(["roundTrip", "processes", "reconnect", "refresh", "silence"]);

/** Run one step; what nobody expected is an outcome as well. */
async function outcome(id, context) {
  const { io, known } = context;
  if (known.blocked && id !== "constants") {
    return verdicts.skipped("The browser lets nothing through, see the first step.");
  }
  if (!io && !WITHOUT_LIBRARY.has(id)) {
    return verdicts.withoutLibrary(byId("client-script").src);
  }
  if (NEEDS_SESSION.has(id) && !known.pollingWorks && !known.webSocketWorks) {
    return verdicts.skipped("No session could be opened, see the steps before.");
  }
  const transports = known.webSocketWorks ? ["websocket"] : ["polling"];
  try {
    return await RUNS[id]({ ...context, transports });
  } catch (error) {
    return { verdict: "unknown", seen: `The step ended early: ${error.message}.`, causes: [] };
  }
}

// --- The page ---------------------------------------------------------------

/** Put a step on the page and return what writes into it. */
function createView({ id, name, why }) {
  const item = copy("step-template");
  const find = (selector) => item.querySelector(selector);
  const skip = find(".skip-step");
  const bar = find("progress");
  item.id = `step-${id}`;
  item.dataset.verdict = "waiting";
  find("h3").textContent = name;
  find(".why").textContent = why;
  bar.setAttribute("aria-label", `Progress of ${name}`);
  byId("steps").append(item);

  return {
    start() {
      item.dataset.verdict = "running";
      find(".verdict").textContent = "Running";
    },
    drawLine(samples) {
      const line = find("polyline");
      const { width, height } = find("svg").viewBox.baseVal;
      line.setAttribute("points", sparkline(samples, width, height));
      find("svg").removeAttribute("hidden");
    },
    progress(seconds, longest) {
      bar.max = longest;
      bar.value = seconds;
      find(".seen").textContent = `Nothing sent for ${seconds.toFixed(0)} of at most ${longest.toFixed(0)} seconds.`;
    },
    skippable() {
      const controller = new AbortController();
      skip.hidden = false;
      bar.hidden = false;
      skip.addEventListener("click", () => controller.abort(), { once: true });
      return controller.signal;
    },
    end({ verdict, seen, causes }) {
      const hadFocus = document.activeElement === skip;
      skip.hidden = true;
      bar.hidden = true;
      item.dataset.verdict = verdict;
      find(".verdict").textContent = VERDICTS[verdict];
      find(".seen").textContent = seen;
      find(".causes").replaceChildren(...causes.map(causeItem));
      if (hadFocus) {
        find("h3").focus();
      }
    },
  };
}

function causeItem({ cause, fix, lines = [] }) {
  const item = copy("cause-template");
  item.querySelector(".cause").textContent = cause;
  item.querySelector(".fix").textContent = fix;
  item.querySelector("pre").textContent = lines.join("\n");
  return item;
}

/** Put the report on the clipboard; on plain http, and where the browser says no, in the old way. */
async function copyReport() {
  const text = byId("report");
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    text.closest("details").open = true;
    text.select();
    document.execCommand("copy");
  }
  byId("copied").textContent = "Copied";
}

async function run(service) {
  const started = new Date().toISOString();
  byId("summary").dataset.verdict = "running";
  byId("copied").textContent = "";
  byId("steps").replaceChildren();
  byId("again").disabled = true;
  byId("copy").disabled = true;
  const context = { io: window.io, service, known: {} };
  const views = new Map(STEPS.map((step) => [step.id, createView(step)]));
  const results = [];
  for (const step of STEPS) {
    const show = views.get(step.id);
    byId("state").textContent = `Step ${results.length + 1} of ${STEPS.length}: ${step.name}`;
    show.start();
    const result = await outcome(step.id, { ...context, show });
    show.end(result);
    results.push({ name: step.name, ...result });
  }
  const failed = results.some(({ verdict }) => verdict === "failed");
  byId("summary").dataset.verdict = failed ? "failed" : "passed";
  byId("state").textContent = summary(results);
  byId("report").value = report(
    { page: location.origin, service: service.origin, browser: navigator.userAgent, time: started },
    results,
  );
  byId("again").disabled = false;
  byId("copy").disabled = false;
}

function start() {
  const service = trials.serviceOf(window);
  byId("service").value = service.origin;
  byId("copy").addEventListener("click", copyReport);
  byId("again").addEventListener("click", () => {
    byId("steps-heading").focus();
    run(service);
  });
  run(service);
}

start();
