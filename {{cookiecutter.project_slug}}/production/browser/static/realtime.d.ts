/** Where a connection is. Only `connected` and `degraded` have a session. */
export type State = "connecting" | "connected" | "degraded" | "reconnecting" | "offline";

export type Transport = "polling" | "websocket" | "webtransport";

export interface Status {
  readonly state: State;
  /** One sentence for people that says why; empty if all is well. */
  readonly message: string;
  /** Whether it is tried again by itself. It is not after a refusal: see `Realtime.reconnect`. */
  readonly retrying: boolean;
}

export interface Figures {
  /** Milliseconds of the last heartbeat; null if it was not answered, or there was none yet. */
  readonly latest: number | null;
  /** Milliseconds. */
  readonly median: number | null;
  /** Milliseconds. */
  readonly p95: number | null;
  /** Mean difference between one round trip and the next, in milliseconds. */
  readonly jitter: number | null;
  /** Share of the heartbeats that were not answered in time, from 0 to 1. */
  readonly loss: number;
  /** Heartbeats that the figures are of, 20 at most. */
  readonly samples: number;
}

export interface Quality extends Figures {
  readonly state: State;
  /** What the session uses now; null without one. */
  readonly transport: Transport | null;
  /** Milliseconds of each of those heartbeats, oldest first; null if it was not answered. */
  readonly roundTrips: readonly (number | null)[];
  /** Sessions after the first one. */
  readonly reconnects: number;
  /** Why the last sessions ended before others followed, oldest first, 20 at most. */
  readonly reasons: readonly { readonly reason: string; readonly at: Date }[];
  /** Milliseconds since the last packet of the service; null if there was none yet. */
  readonly silence: number | null;
}

export interface Options {
  /** The official client's `io`. Default: the global one. */
  io?: (uri: string, options: object) => unknown;
  /** The page's window; without one, its life is not followed. Default: the global one. */
  window?: Window;
  /**
   * Another origin, such as `https://example.org`. Default: the attribute `data-realtime-origin` of any
   * element of the page, otherwise the page's own.
   */
  origin?: string;
  /** Default: `/`. */
  namespace?: string;
  /** Default: `/socket.io`, below the prefix from which this module comes. */
  path?: string;
  /** In the order in which they are tried. Default: `["polling", "websocket"]`. */
  transports?: Transport[];
  /** What the connect handler is given, or what returns it anew for each session. */
  auth?: object | (() => object | Promise<object>);
  /** What happens to what is sent without a session. Default: `refuse`. */
  offline?: "refuse" | "queue";
  /** How many may wait. Default: 100. */
  maxQueued?: number;
  /** Milliseconds until an acknowledgement is given up. Default: 10 000. */
  answerTimeout?: number;
  /** Milliseconds: the bound of the first delay, which doubles, and of all. Default: 1000 and 30 000. */
  reconnection?: { base?: number; cap?: number };
  /**
   * The name of an event that the service acknowledges, and milliseconds: between heartbeats, between the
   * first ones, and until one is lost. Default: `heartbeat`, 10 000, 1000, 3000.
   */
  heartbeat?: { event?: string; interval?: number; fast?: number; timeout?: number };
  /** What is not good any more: a median in milliseconds, a share. Default: 1000 and 0.1. */
  degraded?: { roundTrip?: number; loss?: number };
}

export interface SendOptions {
  /** Milliseconds until the acknowledgement is given up, from when the event is sent. */
  timeout?: number;
  offline?: "refuse" | "queue";
}

export interface RealtimeEvents {
  state: CustomEvent<Status>;
  quality: CustomEvent<Quality>;
  /** A session has begun: subscribe here. What waited for it is sent afterwards. */
  session: CustomEvent<{ readonly id: string; readonly again: boolean }>;
}

/**
 * A request that failed. Its code is the service's, or `no_client`, `not_connected`, `queue_full` (nothing
 * was sent), `no_answer` (nobody knows whether it was carried out), `no_error`.
 */
export class RealtimeError extends Error {
  readonly code: string;
  readonly requestId: string | null;
}

/** A session with the service, and another one whenever it ends. */
export class Realtime extends EventTarget {
  /** @throws {RealtimeError} if the official client is not loaded. */
  constructor(options?: Options);
  readonly status: Status;
  readonly connected: boolean;
  /** The session's id; null without one. */
  readonly id: string | null;
  readonly transport: Transport | null;
  readonly quality: Quality;
  /** Have a function called with what the service sends; return a function that ends this. */
  // biome-ignore lint/suspicious/noExplicitAny: only the application knows its events.
  on(event: string, handler: (...data: any[]) => void): () => void;
  /**
   * Send an event; return what it is acknowledged with.
   * @throws {RealtimeError} if it was not sent, or is not acknowledged in time.
   */
  send(event: string, data?: unknown, options?: SendOptions): Promise<unknown>;
  /**
   * The same for a service that acknowledges with `{ ok: true, … }` or `{ ok: false, error }`.
   * @throws {RealtimeError} also what the service refuses.
   */
  request<Answer = Record<string, unknown>>(event: string, data?: unknown, options?: SendOptions): Promise<Answer>;
  /** Connect now, even after a refusal. */
  reconnect(): void;
  /** End the session; only `reconnect` begins another. */
  close(): void;
  addEventListener<Type extends keyof RealtimeEvents>(
    type: Type,
    listener: (event: RealtimeEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Milliseconds until the next try, drawn from the whole span up to an exponentially growing bound. */
export function fullJitter(attempt: number, bounds: { base: number; cap: number }, random?: () => number): number;

/** Figures of round trips in milliseconds, oldest first; null is a heartbeat without an answer. */
export function figuresOf(roundTrips: readonly (number | null)[]): Figures;
