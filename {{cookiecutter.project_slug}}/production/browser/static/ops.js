// The operators' page: asks for the token, watches, and shows what the processes say.
// The token stays in this script's memory: a refreshed page asks again.

import { Fleet } from "./ops-model.js";
import {
  byId, createLog, createTotals, setText, showConnection, showDesk, showEntrance, showProcesses, showQuality, showQueue,
  showRooms,
} from "./ops-view.js";
import { Realtime } from "./realtime.js";

/** Milliseconds, as often as a process shows itself. */
const TICK = 2000;

function start() {
  const fleet = new Fleet();
  const totals = createTotals();
  const log = createLog();
  let connection = null;
  let token = "";
  let timer;

  function show() {
    const now = performance.now();
    fleet.prune(now);
    showProcesses(fleet.processes(now));
    showRooms(fleet.rooms(now));
    showQuality(fleet.quality(now));
    showQueue(fleet.queue(now));
  }

  function tick() {
    show();
    totals.show(fleet.totals(performance.now()));
  }

  function begin() {
    if (byId("desk").hidden) {
      showDesk();
      timer = setInterval(tick, TICK);
    }
  }

  function stop(problem) {
    clearInterval(timer);
    token = "";
    for (const part of [fleet, totals, log]) {
      part.clear();
    }
    show();
    showEntrance(problem);
  }

  function follow({ state, message, retrying }) {
    showConnection(state, retrying ? message : "");
    if (connection.connected) {
      begin();
    } else if (!retrying) {
      stop(message);
    }
  }

  function connect() {
    const { path, transports } = document.body.dataset;
    connection = new Realtime({
      namespace: "/ops",
      path,
      transports: transports.split(" "),
      auth: () => ({ token }),
    });
    connection.addEventListener("state", ({ detail }) => follow(detail));
    connection.on("process", (snapshot) => {
      const isNew = fleet.add(snapshot, performance.now());
      (isNew ? tick : show)();
    });
    connection.on("log", log.add);
  }

  byId("entrance").addEventListener("submit", (event) => {
    event.preventDefault();
    token = byId("token").value;
    setText(byId("problem"), "");
    if (connection) {
      connection.reconnect();
      return;
    }
    try {
      connect();
    } catch (error) {
      stop(`${error.message} It comes from ${byId("client-script").src}.`);
    }
  });

  byId("leave").addEventListener("click", () => {
    connection.close();
    setText(byId("problem"), "");
  });
}

start();
