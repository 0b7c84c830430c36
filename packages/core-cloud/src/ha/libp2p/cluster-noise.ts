import { randomBytes } from 'node:crypto'
import type { ConnectionEncrypter, MessageStream, PeerId, SecuredConnection } from '@libp2p/interface'
import type { NoiseComponents, NoiseExtensions } from '@libp2p/noise'
import type { Clock } from '../../kernel/clock.js'
import type { NodeId } from '../raft/types.js'
import { type AdmissionChannel, admit, type ClusterKey, type Refusal } from './admission.js'
import type { Libp2pModules } from './load-libp2p.js'
import { StreamReader } from './stream-reader.js'

/** Milliseconds that a refused peer gets to read why. */
const refusalMs = 1_000

type SecureOptions = Parameters<ConnectionEncrypter['secureInbound']>[1]

/** Where admissions are decided and remembered. */
export interface Gate {
  /** @returns why this node may not come in, or undefined. */
  refuse(node: NodeId, peer: string): Refusal | undefined
  admitted(node: NodeId, peer: string): void
  refused(peer: string, direction: 'inbound' | 'outbound', error: unknown): void
}

export interface ClusterNoiseOptions {
  readonly modules: Libp2pModules
  readonly self: NodeId
  readonly key: ClusterKey
  readonly clock: Clock
  readonly gate: Gate
  readonly version?: number
}

/**
 * Noise, and the admission of `admission.ts` right behind it: no muxer, no protocol and no topic is spoken with a peer
 * that has not proved the cluster key. Its name is not `/noise`, so that strangers part before any of it.
 */
export function clusterNoise(options: ClusterNoiseOptions) {
  return (components: NoiseComponents): ConnectionEncrypter<NoiseExtensions> => {
    const inner = options.modules.noise()(components)
    const secure = async (direction: 'inbound' | 'outbound', connection: MessageStream, how: SecureOptions) => {
      joinPieces(connection)
      const secured = await (direction === 'inbound'
        ? inner.secureInbound(connection, how)
        : inner.secureOutbound(connection, how))
      await enter(secured, direction, components.peerId, options, how?.signal)
      return secured
    }
    return {
      protocol: '/aaas/noise',
      secureInbound: (connection, how) => secure('inbound', connection, how),
      secureOutbound: (connection, how) => secure('outbound', connection, how),
    }
  }
}

async function enter(
  { connection, remotePeer }: SecuredConnection<NoiseExtensions>,
  direction: 'inbound' | 'outbound',
  selfPeer: PeerId,
  { self, key, clock, gate, version }: ClusterNoiseOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const reader = new StreamReader(connection)
  const onAbort = (): void => connection.abort(new Error('no admission in time'))
  signal?.addEventListener('abort', onAbort, { once: true })
  const channel: AdmissionChannel = {
    send: bytes => void connection.send(bytes),
    read: count => reader.read(count),
    ended: () =>
      new Promise(resolve => {
        const cancel = clock.after(refusalMs, resolve)
        void reader.ended().then(() => {
          cancel()
          resolve()
        })
      }),
  }
  const peer = remotePeer.toString()
  try {
    const node = await admit(channel, {
      role: direction === 'inbound' ? 'listener' : 'dialer',
      key,
      self,
      selfPeer: selfPeer.toMultihash().bytes,
      remotePeer: remotePeer.toMultihash().bytes,
      nonce: randomBytes(32),
      refuse: claimed => gate.refuse(claimed, peer),
      ...(version === undefined ? {} : { version }),
    })
    gate.admitted(node, peer)
  } catch (error) {
    gate.refused(peer, direction, error)
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    reader.release()
  }
}

/**
 * The TCP transport asks the operating system once for each piece of what it is given; noise gives a record in two and
 * more, and the muxer answers every piece of data with a window before ours are sent. What one turn of the program
 * writes becomes one call and one packet.
 */
function joinPieces(connection: MessageStream): void {
  const send = connection.send.bind(connection)
  let waiting: Uint8Array[] = []
  const flush = (): void => {
    const pieces = waiting
    waiting = []
    try {
      send(pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces))
    } catch {
      // It ended in between, and says so by its own event.
    }
  }
  connection.send = data => {
    if (waiting.length === 0) queueMicrotask(flush)
    if (data instanceof Uint8Array) waiting.push(data)
    else for (const piece of data) waiting.push(piece)
    return !connection.writableNeedsDrain
  }
}
