import { type MsgHdrs, MsgHdrsImpl } from '@nats-io/transport-node'
import type { StreamMessage } from '../stream.js'
import { messageIdOf } from './delivery.js'
import { isJetError, type JetApi, JetCode } from './jet-api.js'
import { senderHeaders } from './text-headers.js'

/** A message as its stream keeps it. */
export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  readonly payload: Uint8Array
  readonly headers: MsgHdrs | undefined
  /** Epoch milliseconds. */
  readonly storedAt: number
}

/**
 * Asks the stream's leader: what was acknowledged is seen, which a copy on another server does not promise.
 * @returns undefined when there is no such message.
 */
export async function storedMessage(
  api: JetApi,
  stream: string,
  which: { readonly seq: number } | { readonly last_by_subj: string },
): Promise<StoredMessage | undefined> {
  const answer = await api.ask<{
    readonly message: {
      readonly subject: string
      readonly seq: number
      readonly data?: string
      readonly hdrs?: string
      readonly time: string
    }
  }>(`STREAM.MSG.GET.${stream}`, which, [JetCode.noMessage])
  if (isJetError(answer)) return undefined
  const { subject, seq, data, hdrs, time } = answer.message
  return {
    subject,
    sequence: seq,
    payload: Buffer.from(data ?? '', 'base64'),
    headers: hdrs === undefined || hdrs === '' ? undefined : MsgHdrsImpl.decode(Buffer.from(hdrs, 'base64')),
    storedAt: Date.parse(time),
  }
}

export function streamMessage(stream: string, stored: StoredMessage): StreamMessage {
  const messageId = messageIdOf(stored.headers)
  return {
    stream,
    sequence: stored.sequence,
    subject: stored.subject,
    payload: stored.payload,
    headers: senderHeaders(stored.headers),
    storedAt: stored.storedAt,
    ...(messageId === undefined ? {} : { messageId }),
  }
}
