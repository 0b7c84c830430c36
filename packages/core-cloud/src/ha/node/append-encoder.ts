import { encodeMessage } from '../raft/codec.js'
import type { AppendRequest } from '../raft/types.js'
import type { GroupId } from '../storage.js'

/** Where an encoded message says to whom it goes: behind its type, group and sender. */
const placeOfReceiver = 9

/** Encodes appends. A leader mostly sends the same to all its followers: only the receiver differs then. */
export class AppendEncoder {
  readonly #group: GroupId
  #last: { readonly message: AppendRequest; readonly bytes: Buffer } | undefined

  constructor(group: GroupId) {
    this.#group = group
  }

  encode(message: AppendRequest): Buffer {
    const before = this.#last
    if (before !== undefined && sameBody(before.message, message)) {
      const bytes = Buffer.from(before.bytes)
      bytes.writeUInt32LE(message.to, placeOfReceiver)
      return bytes
    }
    const bytes = encodeMessage(this.#group, message)
    this.#last = { message, bytes }
    return bytes
  }
}

function sameBody(one: AppendRequest, other: AppendRequest): boolean {
  return (
    one.from === other.from &&
    one.term === other.term &&
    one.prevIndex === other.prevIndex &&
    one.commit === other.commit &&
    one.entries.length === other.entries.length &&
    // A witness gets others, without their data.
    one.entries.every((entry, place) => entry === other.entries[place])
  )
}
