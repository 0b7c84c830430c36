import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { CloudError } from '../../kernel/errors.js'

/** Largest message of the gossip plane, bytes. */
const maxGossipBytes = 64 * 1024
/** Of each kind in one message. */
export const maxRecords = 128

const name = Type.String({ minLength: 1, maxLength: 128 })
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const id = Type.Integer({ minimum: 1, maximum: 0xffff_ffff })
const amount = Type.Number({ minimum: 0, maximum: 1e12 })

const gossipMessage = Type.Object({
  version: Type.Literal(1),
  from: id,
  epoch: count,
  counter: count,
  seal: Type.String({ maxLength: 64 }),
  address: Type.String({ maxLength: 512 }),
  zone: Type.String({ maxLength: 64 }),
  leaving: Type.Boolean(),
  services: Type.Array(
    Type.Object({
      service: name,
      version: Type.String({ maxLength: 64 }),
      instance: name,
      address: Type.String({ maxLength: 512 }),
      weight: amount,
    }),
    { maxItems: maxRecords },
  ),
  leaders: Type.Array(Type.Object({ group: id, term: count, leader: id }), { maxItems: maxRecords }),
  loads: Type.Array(Type.Object({ service: name, instance: name, latencyMs: amount, queued: count, limit: count }), {
    maxItems: maxRecords,
  }),
})
const check = Compile(gossipMessage)

export type GossipMessage = Type.Static<typeof gossipMessage>
/** Where an instance of a service is; `weight` 0 for one that drains. */
export type ServiceAdvert = GossipMessage['services'][number]
/** Who leads a group: a hint for whom to ask first, never a proof. */
export type LeaderHint = GossipMessage['leaders'][number]
/** How busy an instance is: smoothed latency in milliseconds, calls that wait, how many it wants at once. */
export type LoadDigest = GossipMessage['loads'][number]

/** @throws CloudError `core.contract.payload-too-large`. */
export function encodeGossip(message: GossipMessage): Buffer {
  const bytes = Buffer.from(JSON.stringify(message))
  if (bytes.length > maxGossipBytes) {
    throw new CloudError('core.contract.payload-too-large', `a gossip message of ${bytes.length} bytes`)
  }
  return bytes
}

/** @throws CloudError `core.ha.bad-message`, `core.ha.newer-version`. */
export function decodeGossip(bytes: Uint8Array): GossipMessage {
  let value: unknown
  try {
    if (bytes.length <= maxGossipBytes) value = JSON.parse(Buffer.from(bytes).toString())
  } catch {
    // Said below.
  }
  if (check.Check(value)) return value
  const version = (value as { version?: unknown } | undefined)?.version
  if (typeof version === 'number' && version > 1) {
    throw new CloudError('core.ha.newer-version', `gossip of version ${version}`)
  }
  throw new CloudError('core.ha.bad-message', 'bytes on the gossip topic are no message')
}
