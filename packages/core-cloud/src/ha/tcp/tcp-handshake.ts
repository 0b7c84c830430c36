import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import type { NodeId } from '../raft/types.js'
import type { SocketReader } from './socket-reader.js'
import { ConnectionRefused, refusalBytes, refusalOf, type TcpRefusal } from './tcp-errors.js'

/*
 * Both sides prove that they have the cluster key without sending it. Numbers little-endian:
 *   dialler  -> `AHN`, version (1), purpose (1), own id (4), wanted id (4), life (16), nonce (32)
 *   listener -> 0, own id (4), life (16), nonce (32), HMAC-SHA-256 of `listener` and all of the above
 *   dialler  -> 0, HMAC-SHA-256 of `dialler` and all of the above
 *   listener -> 0
 * Instead of its 0 a side may send 1 and a reason, and end. A life is a number of one run of a node.
 */

const wireVersion = 1
const magic = Buffer.from('AHN')
const helloBytes = 3 + 1 + 1 + 4 + 4 + 16 + 32
const answerBytes = 4 + 16 + 32
const macBytes = 32

export type Purpose = 'frames' | 'bulk'

export interface Identity {
  readonly node: NodeId
  readonly life: Buffer
  readonly key: Buffer
}

export interface Proved {
  readonly node: NodeId
  readonly life: Buffer
  readonly purpose: Purpose
}

export function newLife(): Buffer {
  return randomBytes(16)
}

/** @throws ConnectionRefused; CloudError `core.ha.unavailable` when the connection ends. */
export async function dial(
  socket: Socket,
  reader: SocketReader,
  { self, wanted, purpose }: { readonly self: Identity; readonly wanted: NodeId; readonly purpose: Purpose },
): Promise<Proved> {
  const hello = encodeHello(self, wanted, purpose)
  socket.write(hello)
  await accepted(reader)
  const answer = await reader.take(answerBytes)
  const proof = await reader.take(macBytes)
  const transcript = Buffer.concat([hello, answer])
  if (!timingSafeEqual(proof, mac(self.key, 'listener', transcript))) throw refuse(socket, 'wrong-cluster')
  const node = answer.readUInt32LE(0)
  if (node !== wanted) throw refuse(socket, 'other-node')
  socket.write(Buffer.concat([Buffer.of(0), mac(self.key, 'dialler', Buffer.concat([transcript, proof]))]))
  await accepted(reader)
  return { node, life: answer.subarray(4, 20), purpose }
}

/**
 * @param admit - asked when the other side has proved itself.
 * @throws ConnectionRefused, as {@link dial}.
 */
export async function listen(
  socket: Socket,
  reader: SocketReader,
  self: Identity,
  admit: (peer: Proved) => Promise<TcpRefusal | undefined>,
): Promise<Proved> {
  const head = await reader.take(4)
  if (!head.subarray(0, 3).equals(magic)) throw refuse(socket, 'wrong-cluster')
  if ((head[3] as number) > wireVersion) throw refuse(socket, 'newer-version')
  const hello = Buffer.concat([head, await reader.take(helloBytes - 4)])
  const answer = Buffer.alloc(answerBytes)
  answer.writeUInt32LE(self.node, 0)
  self.life.copy(answer, 4)
  randomBytes(32).copy(answer, 20)
  const transcript = Buffer.concat([hello, answer])
  const proof = mac(self.key, 'listener', transcript)
  socket.write(Buffer.concat([Buffer.of(0), answer, proof]))
  await accepted(reader)
  const theirs = await reader.take(macBytes)
  if (!timingSafeEqual(theirs, mac(self.key, 'dialler', Buffer.concat([transcript, proof])))) {
    throw refuse(socket, 'wrong-cluster')
  }
  const peer = decodeHello(hello)
  const refusal = peer.wanted === self.node ? await admit(peer) : 'other-node'
  if (refusal !== undefined) throw refuse(socket, refusal)
  socket.write(Buffer.of(0))
  return peer
}

function encodeHello(self: Identity, wanted: NodeId, purpose: Purpose): Buffer {
  const ids = Buffer.alloc(8)
  ids.writeUInt32LE(self.node, 0)
  ids.writeUInt32LE(wanted, 4)
  const head = Buffer.of(wireVersion, purpose === 'frames' ? 1 : 2)
  return Buffer.concat([magic, head, ids, self.life, randomBytes(32)])
}

function decodeHello(hello: Buffer): Proved & { readonly wanted: NodeId } {
  return {
    node: hello.readUInt32LE(5),
    wanted: hello.readUInt32LE(9),
    life: hello.subarray(13, 29),
    purpose: hello[4] === 1 ? 'frames' : 'bulk',
  }
}

async function accepted(reader: SocketReader): Promise<void> {
  const [status] = await reader.take(1)
  if (status === 0) return
  const [reason] = await reader.take(1)
  throw new ConnectionRefused(refusalOf(reason as number), 'them')
}

function refuse(socket: Socket, refusal: TcpRefusal): ConnectionRefused {
  socket.end(Buffer.of(1, refusalBytes[refusal]))
  return new ConnectionRefused(refusal, 'us')
}

function mac(key: Buffer, label: string, transcript: Buffer): Buffer {
  return createHmac('sha256', key).update(label).update(transcript).digest()
}
