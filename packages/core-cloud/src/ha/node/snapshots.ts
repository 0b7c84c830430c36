import { CloudError } from '../../kernel/errors.js'
import type { BulkInlet } from '../network.js'
import { decodeMessage, encodeMessage } from '../raft/codec.js'
import type { Raft } from '../raft/raft.js'
import type { InstallSnapshot, NodeId } from '../raft/types.js'
import type { GroupId, StoredSnapshot } from '../storage.js'
import { ByteReader } from './byte-reader.js'
import { ByteWriter } from './byte-writer.js'
import type { GroupHost } from './group-host.js'
import type { ReplicatedState } from './replicated-state.js'

export interface SnapshotHeader {
  readonly group: GroupId
  readonly message: InstallSnapshot
  readonly bytes: number
  readonly sha256: Uint8Array
}

function encodeSnapshotHeader({ group, message, bytes, sha256 }: SnapshotHeader): Uint8Array {
  return new ByteWriter().bytes(encodeMessage(group, message)).number(bytes).bytes(sha256).done()
}

/** @throws CloudError `core.ha.bad-message`. */
export function decodeSnapshotHeader(header: Uint8Array): SnapshotHeader {
  const input = new ByteReader(header)
  const { group, message } = decodeMessage(input.bytes())
  const bytes = input.number()
  const sha256 = Uint8Array.from(input.bytes())
  input.end()
  if (message.type !== 'snapshot') throw new CloudError('core.ha.bad-message', 'a bulk transfer that is no snapshot')
  return { group, message, bytes, sha256 }
}

/** Takes, sends and receives the snapshots of one group. */
export class Snapshots {
  /** Entries and bytes of them that were applied since the last one. */
  #entries = 0
  #bytes = 0
  #taking = false
  readonly #over = new AbortController()

  constructor(
    readonly group: GroupId,
    readonly host: GroupHost,
    readonly state: ReplicatedState,
    readonly raft: Raft,
  ) {}

  applied(entries: number, bytes: number): void {
    this.#entries += entries
    this.#bytes += bytes
  }

  /** Takes one when enough was applied since the last. Called when everything handed out is applied. */
  takeWhenDue(): void {
    const { limits, storage } = this.host
    if (this.#taking || (this.#entries < limits.snapshotEntries && this.#bytes < limits.snapshotBytes)) return
    this.#taking = true
    this.#entries = 0
    this.#bytes = 0
    const { mark } = this.raft
    storage
      .saveSnapshot(this.group, mark, this.state.capture())
      .then(() => {
        this.raft.compact(mark, limits.keepEntries)
      })
      .catch((error: unknown) => {
        // The log is still there: the next one may succeed. A failed disk stops the node by the storage's own word.
        if (!this.#over.signal.aborted)
          this.host.logger.error('a snapshot could not be saved', { group: this.group, error })
      })
      .finally(() => {
        this.#taking = false
      })
  }

  /** Loads the newest one. */
  async load(index: number): Promise<void> {
    await using stored = await this.host.storage.openSnapshot(this.group)
    if (stored === undefined || stored.mark.index !== index) {
      const found = stored === undefined ? 'none' : `one of entry ${stored.mark.index}`
      throw new CloudError('core.ha.corrupt', `a snapshot of entry ${index} is needed, the storage has ${found}`)
    }
    await this.state.restore(this.#chunks(stored, 0))
    this.#entries = 0
    this.#bytes = 0
  }

  /** Sends the newest one to a member that is too far behind, and tells the core how that went. */
  send(message: InstallSnapshot): void {
    this.#deliver(message)
      .then(
        () => true,
        (error: unknown) => {
          const { group, host } = this
          if (!this.#over.signal.aborted)
            host.logger.info('a snapshot was not delivered', { group, to: message.to, error })
          return false
        },
      )
      .then(arrived => {
        if (this.#over.signal.aborted) return
        this.raft.snapshotSent(message.to, arrived)
        this.host.wake()
      })
      .catch((error: unknown) => this.host.fail(error))
  }

  async #deliver(asked: InstallSnapshot): Promise<void> {
    const { storage, network } = this.host
    await using stored = await storage.openSnapshot(this.group)
    if (stored === undefined || stored.mark.index < asked.snapshot.index) {
      throw new CloudError('core.ha.corrupt', `the storage has no snapshot of entry ${asked.snapshot.index} or later`)
    }
    // It may be newer than the one the core named: then that one goes.
    const message = { ...asked, snapshot: stored.mark }
    const { bytes, sha256 } = stored
    const header = encodeSnapshotHeader({ group: this.group, message, bytes, sha256 })
    await network.sendBulk(asked.to, header, offset => this.#chunks(stored, offset), this.#over.signal)
  }

  async *#chunks(stored: StoredSnapshot, from: number): AsyncIterable<Uint8Array> {
    for (let position = from; position < stored.bytes; ) {
      const chunk = await stored.read(position, this.host.limits.snapshotChunkBytes)
      if (chunk.length === 0) throw new CloudError('core.ha.corrupt', `a snapshot ends at byte ${position}`)
      position += chunk.length
      yield chunk
    }
  }

  /** @param arrived - called when it is here and on the disk. */
  async receive(from: NodeId, header: SnapshotHeader, arrived: () => void): Promise<BulkInlet> {
    const { storage, logger } = this.host
    const { message, bytes, sha256 } = header
    logger.info('receiving a snapshot', { group: this.group, from, index: message.snapshot.index, bytes })
    const inlet = await storage.receiveSnapshot(this.group, message.snapshot, bytes, sha256)
    return {
      offset: inlet.received,
      async take(body) {
        await using open = inlet
        for await (const chunk of body) await open.write(chunk)
        await open.finish()
        arrived()
      },
    }
  }

  stop(): void {
    this.#over.abort(new CloudError('core.ha.stopped', 'the node is stopping'))
  }
}
