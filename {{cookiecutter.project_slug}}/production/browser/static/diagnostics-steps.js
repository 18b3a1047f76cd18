// The steps of the page /diagnostics in their order, and why each of them matters.

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
