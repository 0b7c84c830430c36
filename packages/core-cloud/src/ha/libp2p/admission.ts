import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { CloudError } from '../../kernel/errors.js'
import type { NodeId } from '../raft/types.js'

/*
 * Who may be a peer. Under the encryption, before anything else is spoken, both sides prove that they have the cluster's
 * key, by an HMAC-SHA256 over both greetings (fresh nonces, node ids, versions) and both peer ids, which noise has proved
 * already. So a proof is worth nothing on another connection, in the other direction, or between other peers.
 *
 *   dialer    greeting                      ->
 *             <-                      greeting    listener
 *             verdict, proof                ->
 *             <-                verdict, proof
 *             verdict                       ->
 *
 * The dialer proves first: a stranger that dials learns nothing that it could try keys on.
 */

/** Version of everything that is spoken between nodes. Older nodes are spoken to, newer ones have to speak ours. */
const wireVersion = 1

/** Key material below this is refused: it could be guessed. */
const minClusterKeyBytes = 16

const magic = Buffer.from('AaHA')
const nonceBytes = 32
/** Magic (4), version (2), node (4), nonce (32). This form stays for every version to come. */
const greetingBytes = 4 + 2 + 4 + nonceBytes
const proofBytes = 32

const welcome = 0
/** A verdict is the place in this list plus one. What each says to the one who is refused. */
const refusals = {
  'core.ha.wrong-cluster': 'refuses the cluster key of this node',
  'core.ha.duplicate-node': 'knows another living node with the id of this node',
  'core.ha.newer-version': 'does not speak the newer version of this node',
  'core.ha.unavailable':
    'does not let this node in: it was removed, too many nodes are known, or that node is stopping',
} as const
type AdmissionCode = keyof typeof refusals
const codes = Object.keys(refusals) as AdmissionCode[]

export interface Refusal {
  readonly code: AdmissionCode
  readonly reason: string
}

/** Bytes to and from the other side, encrypted. */
export interface AdmissionChannel {
  send(bytes: Uint8Array): void
  /** Rejects when the connection ends before. */
  read(count: number): Promise<Uint8Array>
  /** Resolves when the other side has ended the connection, or some time later. */
  ended(): Promise<void>
}

export interface AdmissionOptions {
  readonly role: 'dialer' | 'listener'
  readonly key: ClusterKey
  readonly self: NodeId
  /** Peer ids in their binary form. */
  readonly selfPeer: Uint8Array
  readonly remotePeer: Uint8Array
  /** 32 random bytes, used once. */
  readonly nonce: Uint8Array
  /** Default {@link wireVersion}. */
  readonly version?: number
  /** Says why a node with this id may not come in although it has the key. */
  readonly refuse: (node: NodeId) => Refusal | undefined
}

/** A cluster's secret in the form in which it is used. */
export class ClusterKey {
  readonly #bytes: Buffer

  /** @throws CloudError `core.kernel.invalid-config`. */
  constructor(secret: string | Uint8Array) {
    const bytes = Buffer.from(secret)
    if (bytes.length < minClusterKeyBytes) {
      throw new CloudError(
        'core.kernel.invalid-config',
        `the cluster key is shorter than ${minClusterKeyBytes} bytes`,
        {
          field: 'clusterKey',
        },
      )
    }
    this.#bytes = createHash('sha256').update('aaas-ha-cluster-key').update(bytes).digest()
  }

  /** A keyed hash of `pieces`, each with its length, for one purpose. */
  seal(purpose: string, pieces: readonly Uint8Array[]): Buffer {
    const mac = createHmac('sha256', this.#bytes)
    for (const piece of [Buffer.from(purpose), ...pieces]) {
      const length = Buffer.allocUnsafe(4)
      length.writeUInt32LE(piece.length)
      mac.update(length).update(piece)
    }
    return mac.digest()
  }

  verify(seal: Uint8Array, purpose: string, pieces: readonly Uint8Array[]): boolean {
    return seal.length === proofBytes && timingSafeEqual(seal, this.seal(purpose, pieces))
  }
}

/**
 * Lets the other side in, or says why not, to it and to the caller.
 * @returns the other side's node id.
 * @throws CloudError `core.ha.wrong-cluster`, `core.ha.duplicate-node`, `core.ha.newer-version`, `core.ha.bad-message`;
 *   `core.ha.unavailable` for a node that was removed.
 */
export async function admit(channel: AdmissionChannel, options: AdmissionOptions): Promise<NodeId> {
  const { role, key, version = wireVersion } = options
  const own = greeting(options.self, version, options.nonce)
  if (role === 'dialer') channel.send(own)
  const theirs = Buffer.from(await channel.read(greetingBytes))
  const { node, version: theirVersion } = readGreeting(theirs)
  if (role === 'listener') channel.send(own)
  const dialerFirst = <T>(mine: T, other: T): readonly [T, T] => (role === 'dialer' ? [mine, other] : [other, mine])
  const transcript = [...dialerFirst<Uint8Array>(own, theirs), ...dialerFirst(options.selfPeer, options.remotePeer)]
  const newer =
    theirVersion > version ? `node ${node} speaks version ${theirVersion}; this node knows ${version}` : undefined

  const readProof = async (): Promise<void> => {
    const answer = await channel.read(1 + proofBytes)
    obey(answer[0] as number, node)
    const proof = answer.subarray(1)
    const other = role === 'dialer' ? 'listener' : 'dialer'
    if (!key.verify(proof, `admission-${other}`, transcript)) {
      await refuse(channel, 'core.ha.wrong-cluster', `node ${node} has another cluster key`, role)
    }
    const refusal = options.refuse(node)
    if (refusal !== undefined) await refuse(channel, refusal.code, refusal.reason, role)
  }
  const sendProof = (): void =>
    channel.send(Buffer.concat([Buffer.of(welcome), key.seal(`admission-${role}`, transcript)]))

  if (role === 'dialer') {
    if (newer !== undefined) await refuse(channel, 'core.ha.newer-version', newer, 'listener')
    sendProof()
    await readProof()
    channel.send(Buffer.of(welcome))
    return node
  }
  if (newer !== undefined) {
    await channel.read(1 + proofBytes)
    await refuse(channel, 'core.ha.newer-version', newer, role)
  }
  await readProof()
  sendProof()
  obey((await channel.read(1))[0] as number, node)
  return node
}

function greeting(node: NodeId, version: number, nonce: Uint8Array): Buffer {
  const bytes = Buffer.alloc(greetingBytes)
  magic.copy(bytes)
  bytes.writeUInt16LE(version, 4)
  bytes.writeUInt32LE(node, 6)
  bytes.set(nonce, 10)
  return bytes
}

function readGreeting(bytes: Buffer): { readonly node: NodeId; readonly version: number } {
  const node = bytes.readUInt32LE(6)
  if (!bytes.subarray(0, 4).equals(magic) || node === 0) {
    throw new CloudError('core.ha.bad-message', 'the other side does not greet as a node of a cluster')
  }
  return { node, version: bytes.readUInt16LE(4) }
}

/**
 * Says no, in the form of the listener's answer or of the dialer's last word. It must arrive before the connection is cut,
 * so this waits for the other side to go.
 */
async function refuse(
  channel: AdmissionChannel,
  code: AdmissionCode,
  reason: string,
  as: 'dialer' | 'listener',
): Promise<never> {
  const verdict = Buffer.of(codes.indexOf(code) + 1)
  channel.send(as === 'listener' ? Buffer.concat([verdict, Buffer.alloc(proofBytes)]) : verdict)
  await channel.ended()
  throw new CloudError(code, reason)
}

function obey(verdict: number, node: NodeId): void {
  if (verdict === welcome) return
  const code = codes[verdict - 1]
  if (code === undefined) throw new CloudError('core.ha.bad-message', `node ${node} answers with verdict ${verdict}`)
  throw new CloudError(code, `node ${node} ${refusals[code]}`)
}
