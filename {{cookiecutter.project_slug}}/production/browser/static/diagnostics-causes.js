// What may be wrong where a step of the page /diagnostics fails, what to do about it, and the lines of a
// configuration that do it.

export const CAUSES = {
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
