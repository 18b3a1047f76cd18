import type { Realtime, RealtimeError, SendOptions } from "./realtime.js";

export interface Update {
  readonly channel: string;
  readonly data: unknown;
  /** Its number in the channel. */
  readonly sequence: number;
  /** Another one once the numbers have started again. */
  readonly epoch: string;
  /** ISO 8601. */
  readonly sent_at: string;
}

/** Updates that were missed and cannot be had any more. */
export interface Gap {
  readonly channel: string;
  readonly from: number;
  /** Null if the numbers have started again. */
  readonly to: number | null;
}

export interface ChannelsEvents {
  /** What is subscribed to now. */
  channels: CustomEvent<readonly string[]>;
  update: CustomEvent<Update>;
  gap: CustomEvent<Gap>;
  /** Why the channels could not be subscribed to again; null once they are. */
  problem: CustomEvent<RealtimeError | null>;
}

/**
 * Channels, followed through every interruption: each update arrives once and in order, and what was
 * missed and is no longer kept is a gap.
 */
export class Channels extends EventTarget {
  /** @param names what to subscribe to as soon as there is a session. */
  constructor(connection: Realtime, names?: Iterable<string>);
  /** @throws {RealtimeError} */
  subscribe(names: readonly string[], options?: SendOptions): Promise<void>;
  /** @throws {RealtimeError} */
  unsubscribe(names: readonly string[], options?: SendOptions): Promise<void>;
  /**
   * Publish; with an `id` that is unique to the message, it may be sent again without harm.
   * @throws {RealtimeError}
   */
  publish(
    channel: string,
    data: unknown,
    options?: SendOptions & { id?: string },
  ): Promise<{ ok: true; channel: string; sequence: number }>;
  addEventListener<Type extends keyof ChannelsEvents>(
    type: Type,
    listener: (event: ChannelsEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
