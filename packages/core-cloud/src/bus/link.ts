import type { ErrorCode } from '../kernel/error-codes.js'
import type { HeaderBlock } from './headers.js'

/** Largest payload of a message, bytes. */
export const maxPayloadBytes = 8 * 1024 * 1024

/** Milliseconds a request may wait at most; a later deadline is cut to this. */
export const maxWaitMs = 86_400_000

/** Who is at the other end of a connection, and what it may do. */
export interface BusIdentity {
  /** Stamped as `sender` on everything it sends; 1 to 128 printable ASCII characters. */
  readonly name: string
  /** Such as `site`, `service`, `host`. */
  readonly kind: string
  /** Subject patterns it may send to. */
  readonly publish: readonly string[]
  /** Subject patterns it may listen on. */
  readonly subscribe: readonly string[]
}

export const identityForm = /^[\x21-\x7e]{1,128}$/

/**
 * What a peer asks of its hub. Ids are integers from 1 chosen by the peer; the hub answers each by one call of
 * {@link PeerLink} with the same id (`cancel`, `reply` and `replyError` are not answered).
 */
export interface HubLink {
  publish(id: number, subject: string, headers: HeaderBlock, payload: Uint8Array): void
  /**
   * `deadline` is absolute epoch milliseconds. With `many` every receiver's answer comes as one `answered`, and
   * `accepted` or `failed` ends it; else the first `answered` does.
   */
  request(id: number, deadline: number, subject: string, headers: HeaderBlock, payload: Uint8Array, many: boolean): void
  /** The answer of a request is no longer wanted. */
  cancel(id: number): void
  /** `queue` is empty for a plain subscription. */
  subscribe(id: number, subscription: number, pattern: string, queue: string): void
  /** After the answer no message of this subscription follows. */
  unsubscribe(id: number, subscription: number): void
  reply(delivery: number, headers: HeaderBlock, payload: Uint8Array): void
  replyError(delivery: number, code: ErrorCode, text: string): void
  /** Answered when the hub has handled everything before it. */
  flush(id: number): void
}

/** What the hub tells a peer. */
export interface PeerLink {
  accepted(id: number): void
  answered(id: number, sender: string, headers: HeaderBlock, payload: Uint8Array): void
  /** @param retryAfterMs - when it is known after how long the same could succeed. */
  failed(id: number, code: string, text: string, retryAfterMs?: number): void
  /** `delivery` is 0 when no answer is wanted; `sender` is empty when there is none. */
  deliver(
    subscription: number,
    delivery: number,
    deadline: number,
    sender: string,
    subject: string,
    headers: HeaderBlock,
    payload: Uint8Array,
  ): void
  /** The answer of a delivery is no longer wanted. */
  cancelled(delivery: number, code: string): void
}
