// A page in the page /diagnostics, which refreshes it: it connects once each time that it is loaded.

import { openSession, serviceOf } from "./diagnostics-trials.js";

const service = serviceOf(window);
const transports = (new URLSearchParams(location.search).get("transports") ?? "polling").split(",");
const tell = (outcome) => parent.postMessage({ refreshed: outcome }, location.origin);

openSession(window.io, service, transports).then(
  ({ transport, milliseconds }) => tell({ connected: true, transport, milliseconds }),
  (error) => tell({ connected: false, message: error.message }),
);
