import { CloudError } from '../../kernel/errors.js'
import type { Entry } from '../raft/types.js'
import type { StateMachine } from '../replica.js'
import { ByteReader } from './byte-reader.js'
import { ByteWriter } from './byte-writer.js'
import { type Command, decodeCommand } from './command.js'
import { type Outcome, type SessionLimits, Sessions } from './sessions.js'

export type Applied =
  | { readonly kind: 'opened'; readonly token: number }
  | { readonly kind: 'run'; readonly session: number; readonly sequence: number; readonly outcome: Outcome }

/** Of the form of a snapshot: `AHS1`. */
const snapshotMagic = 0x3153_4841

/** What all members compute from the log: the machine of the application, and who has asked for what. */
export class ReplicatedState {
  readonly sessions: Sessions
  readonly #machine: StateMachine

  constructor(machine: StateMachine, limits: SessionLimits) {
    this.#machine = machine
    this.sessions = new Sessions(limits)
  }

  /** @returns nothing for entries that are not commands, and for commands that nobody could have written. */
  apply(entry: Entry): Applied | undefined {
    // A witness gets places without data.
    if (entry.kind !== 'command' || entry.data.length === 0) return undefined
    let command: Command
    try {
      command = decodeCommand(entry.data)
    } catch {
      // The same on every member, so it may be passed over.
      return undefined
    }
    if (command.kind === 'open') {
      this.sessions.open(entry.index)
      return { kind: 'opened', token: command.token }
    }
    const { session, sequence, body } = command
    const outcome = this.sessions.apply(command, entry.index, () => this.#machine.apply(body, entry.index))
    return { kind: 'run', session, sequence, outcome }
  }

  /** Everything as it is now, although it is read later. */
  capture(): AsyncIterable<Uint8Array> {
    const sessions = new ByteWriter()
    this.sessions.write(sessions)
    const head = new ByteWriter().u32(snapshotMagic).bytes(sessions.done()).done()
    const machine = this.#machine.snapshot()[Symbol.asyncIterator]()
    // A generator copies its state when it is asked for the first piece: that must be now.
    const first = machine.next()
    first.catch(() => undefined)
    return (async function* () {
      yield head
      for (let next = await first; next.done !== true; next = await machine.next()) yield next.value
    })()
  }

  /** @throws CloudError `core.ha.corrupt` for something that {@link capture} did not make. */
  async restore(state: AsyncIterable<Uint8Array>): Promise<void> {
    const iterator = state[Symbol.asyncIterator]()
    let rest = Buffer.alloc(0)
    const need = async (bytes: number): Promise<void> => {
      while (rest.length < bytes) {
        const { done, value } = await iterator.next()
        if (done === true) throw new CloudError('core.ha.corrupt', 'a snapshot ends within its list of sessions')
        rest = Buffer.concat([rest, value])
      }
    }
    await need(8)
    if (rest.readUInt32LE(0) !== snapshotMagic) {
      throw new CloudError('core.ha.corrupt', 'a snapshot is of no form that this version knows')
    }
    const length = rest.readUInt32LE(4)
    await need(8 + length)
    this.sessions.read(new ByteReader(rest.subarray(8, 8 + length)))
    const behind = rest.subarray(8 + length)
    await this.#machine.restore(
      (async function* () {
        if (behind.length > 0) yield behind
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value
      })(),
    )
  }
}
