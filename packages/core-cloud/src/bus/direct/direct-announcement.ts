import { type KeyObject, sign, verify } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { coveredBy, isPattern, isSubject } from '../subject.js'
import { type CredentialCheck, type DirectCredential, maxCredentialChars, untrusted } from './direct-credential.js'

/** Most bytes of one discovery message. */
export const maxAnnouncementBytes = 65_536
/** Listeners that one instance lists; one with more says that it may listen to anything, so nobody calls past it. */
export const maxListeners = 512

const label = 'aaas-direct-announcement-1\n'
const instance = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })
const version = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

const Body = Type.Object(
  {
    instance,
    /** Rises with every change: an older one is never taken for a newer one. */
    version,
    credential: Type.String({ maxLength: maxCredentialChars }),
    /** The instance takes no further direct call. */
    leaving: Type.Boolean(),
    /** Absolute path of its unix socket, of use to others on its machine. */
    socketPath: Type.Optional(Type.String({ pattern: '^/[^\\0]{0,106}$' })),
    /** Where it takes TLS connections. */
    tcp: Type.Optional(
      Type.Object(
        {
          host: Type.String({ pattern: '^[A-Za-z0-9.:-]{1,255}$' }),
          port: Type.Integer({ minimum: 1, maximum: 65_535 }),
        },
        { additionalProperties: false },
      ),
    ),
    /** Pattern and queue of each subscription; the queue is empty for a plain one. */
    listeners: Type.Array(Type.Tuple([Type.String({ maxLength: 255 }), Type.String({ maxLength: 255 })]), {
      maxItems: maxListeners,
    }),
  },
  { additionalProperties: false },
)

/** What an instance says of itself. */
export type Announcement = Static<typeof Body>

const Message = Type.Union([
  Type.Object(
    {
      type: Type.Literal('announce'),
      /** True of a newcomer: everybody is to answer with an announcement. */
      ask: Type.Boolean(),
      body: Type.String({ maxLength: maxAnnouncementBytes }),
      signature: Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' }),
    },
    { additionalProperties: false },
  ),
  Type.Object({ type: Type.Literal('alive'), instance, version }, { additionalProperties: false }),
  Type.Object({ type: Type.Literal('ask'), instance }, { additionalProperties: false }),
  Type.Object({ type: Type.Literal('seen'), instance, version }, { additionalProperties: false }),
])

/** What instances tell each other over the bus below them. `seen` says that an announcement is known to `instance`. */
export type DiscoveryMessage = Static<typeof Message>
export type SignedAnnouncement = Extract<DiscoveryMessage, { type: 'announce' }>

const messageForm = Compile(Message)
const bodyForm = Compile(Body)

export function encodeDiscovery(message: DiscoveryMessage): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

/** @returns undefined for anything that is not a discovery message. */
export function decodeDiscovery(payload: Uint8Array): DiscoveryMessage | undefined {
  if (payload.length > maxAnnouncementBytes) return undefined
  const value = parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  return messageForm.Check(value) ? value : undefined
}

export function signAnnouncement(announcement: Announcement, key: KeyObject): SignedAnnouncement {
  const body = JSON.stringify(announcement)
  const signature = sign(null, Buffer.from(label + body), key).toString('base64url')
  return { type: 'announce', ask: false, body, signature }
}

/** What an announcement says, before anybody looked whether it is true. @returns undefined for anything else. */
export function readAnnouncement(message: SignedAnnouncement): Announcement | undefined {
  const value = parse(message.body)
  return bodyForm.Check(value) ? value : undefined
}

/**
 * Looks whether an announcement was made by the one its credential names, and takes out the listeners that the
 * credential does not allow: nobody can place itself on a subject that the hub would not give it.
 * @throws CloudError `core.bus.bad-signature`.
 */
export function verifyAnnouncement(
  message: SignedAnnouncement,
  announcement: Announcement,
  check: CredentialCheck,
  now: number,
): { readonly credential: DirectCredential; readonly listeners: Announcement['listeners'] } {
  const credential = check.read(announcement.credential, now)
  const signature = Buffer.from(message.signature, 'base64url')
  if (!verify(null, Buffer.from(label + message.body), credential.publicKey, signature))
    throw untrusted(`the announcement of ${credential.identity.name} is not signed by its key`)
  const listeners = announcement.listeners.filter(
    ([pattern, queue]) =>
      isPattern(pattern) &&
      (queue === '' || isSubject(queue)) &&
      (coveredBy(credential.identity.subscribe, pattern) || isEverything(pattern, queue)),
  )
  return { credential, listeners }
}

/** "I may listen to anything": it keeps others from calling directly past this one, and gives no access to anything. */
function isEverything(pattern: string, queue: string): boolean {
  return pattern === '>' && queue === ''
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
