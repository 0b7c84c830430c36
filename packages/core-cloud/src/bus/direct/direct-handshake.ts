import { createHash, type KeyObject, sign, verify } from 'node:crypto'
import { type FrameType, ProtocolError } from '../frame.js'
import type { FrameWriter } from '../frame-writer.js'
import { type CredentialCheck, type DirectCredential, maxCredentialChars, untrusted } from './direct-credential.js'

/** Version of the direct wire; it is part of everything that is signed, so it cannot be talked down. */
const directVersion = 1

/** Most bytes of a frame before the other side is known. */
export const maxHandshakeBytes = maxCredentialChars + 512

const helloType = 64
const challengeType = 65
const proofType = 66
const signatureBytes = 64
const nonceForm = /^[a-z0-9]{32,128}$/
const instanceForm = /^[A-Za-z0-9_-]{1,64}$/

/** Who one is, to the other side of a direct connection. */
export interface DirectSelf {
  readonly instance: string
  readonly credential: string
  readonly privateKey: KeyObject
}

interface HandshakeOptions {
  readonly self: DirectSelf
  readonly check: CredentialCheck
  /** 32 to 128 random characters `a-z 0-9`, never used before. */
  readonly nonce: string
  /** What only the two ends of this very connection know (RFC 9266, tls-exporter); empty on a unix socket. */
  readonly binding: Uint8Array
  readonly now: number
}

/**
 * The caller's side: hello, then the callee's challenge is answered by a proof. Each side signs the whole exchange,
 * both random numbers in it, under a label of its own: a recording proves nothing in another connection, and what one
 * side signed is of no use as the other side's word (the shape of SIGMA without key agreement, which TLS does).
 */
export class DirectCaller {
  readonly #options: HandshakeOptions & { readonly callee: string; readonly calleeKey: string }
  readonly hello: Buffer

  /** @param options.calleeKey - as announced; another key is refused, whoever signed it. */
  constructor(options: HandshakeOptions & { readonly callee: string; readonly calleeKey: string }) {
    this.#options = options
    const { self, callee, nonce } = options
    this.hello = Buffer.concat([
      Uint8Array.of(helloType, directVersion),
      short(self.instance),
      short(callee),
      short(nonce),
      long(self.credential),
    ])
  }

  /**
   * @returns the proof to send.
   * @throws ProtocolError for something else than a challenge, CloudError `core.bus.bad-signature`.
   */
  proof(challenge: Buffer): { readonly proof: Buffer; readonly credential: DirectCredential } {
    const { check, now, binding, self, calleeKey } = this.#options
    const fields = new Fields(challenge, challengeType)
    fields.short(nonceForm)
    const credential = check.read(fields.long(), now)
    const signedPart = challenge.subarray(0, fields.at)
    const signature = fields.signature()
    if (credential.key !== calleeKey) throw untrusted(`${credential.identity.name} answers with another key`)
    const said = transcript('callee', binding, this.hello, signedPart)
    if (!verify(null, said, credential.publicKey, signature))
      throw untrusted(`whoever answers does not hold the key of ${credential.identity.name}`)
    const proof = sign(null, transcript('caller', binding, this.hello, challenge), self.privateKey)
    return { proof: Buffer.concat([Uint8Array.of(proofType), proof]), credential }
  }
}

/** The callee's side: one hello in, one challenge out, one proof in. */
export class DirectCallee {
  readonly #options: HandshakeOptions
  #hello: Buffer | undefined
  #challenge: Buffer | undefined
  #caller: { readonly credential: DirectCredential; readonly instance: string } | undefined

  constructor(options: HandshakeOptions) {
    this.#options = options
  }

  /** @throws ProtocolError, CloudError `core.bus.bad-signature`. */
  challenge(hello: Buffer): { readonly challenge: Buffer; readonly key: string } {
    if (this.#hello !== undefined) throw new ProtocolError('a second hello')
    const { self, check, now, binding, nonce } = this.#options
    const fields = new Fields(hello, helloType)
    const version = fields.u8()
    if (version !== directVersion)
      throw new ProtocolError(`version ${directVersion} of the direct wire is spoken here, not ${version}`)
    const instance = fields.short(instanceForm)
    const wanted = fields.short(instanceForm)
    if (wanted !== self.instance) throw untrusted('the caller wants somebody else')
    fields.short(nonceForm)
    const credential = check.read(fields.long(), now)
    fields.end()
    const head = Buffer.concat([Uint8Array.of(challengeType), short(nonce), long(self.credential)])
    const signature = sign(null, transcript('callee', binding, hello, head), self.privateKey)
    // The frame is a view of a chunk that the socket may not keep.
    this.#hello = Buffer.from(hello)
    this.#challenge = Buffer.concat([head, signature])
    this.#caller = { credential, instance }
    return { challenge: this.#challenge, key: credential.key }
  }

  /** @returns who is there. @throws ProtocolError, CloudError `core.bus.bad-signature`. */
  admit(proof: Buffer): { readonly credential: DirectCredential; readonly instance: string } {
    if (this.#hello === undefined || this.#challenge === undefined || this.#caller === undefined)
      throw new ProtocolError('a proof before the hello')
    const signature = new Fields(proof, proofType).signature()
    const { credential } = this.#caller
    const said = transcript('caller', this.#options.binding, this.#hello, this.#challenge)
    if (!verify(null, said, credential.publicKey, signature))
      throw untrusted(`whoever calls does not hold the key of ${credential.identity.name}`)
    return this.#caller
  }
}

/** Sends one frame of the handshake. */
export function writeHandshake(writer: FrameWriter, frame: Buffer): void {
  writer
    .open(frame[0] as FrameType, frame.length - 1)
    .rest(frame.subarray(1))
    .close()
}

function transcript(side: 'caller' | 'callee', binding: Uint8Array, hello: Buffer, challenge: Buffer): Buffer {
  const hash = createHash('sha256')
  for (const part of [binding, hello, challenge]) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    hash.update(length).update(part)
  }
  return Buffer.concat([Buffer.from(`aaas-direct-${directVersion}-${side}\n`), hash.digest()])
}

function short(text: string): Buffer {
  return Buffer.concat([Uint8Array.of(text.length), Buffer.from(text, 'latin1')])
}

function long(text: string): Buffer {
  return Buffer.concat([Uint8Array.of(text.length >>> 8, text.length), Buffer.from(text, 'latin1')])
}

/** Reads one frame of the handshake; every read checks the end. */
class Fields {
  readonly #frame: Buffer
  at = 1

  constructor(frame: Buffer, type: number) {
    if (frame[0] !== type) throw new ProtocolError('a frame that has no place here in the handshake')
    this.#frame = frame
  }

  u8(): number {
    return this.#take(1)[0] as number
  }

  short(form: RegExp): string {
    const text = this.#take(this.u8()).toString('latin1')
    if (!form.test(text)) throw new ProtocolError('a field of the handshake has not its form')
    return text
  }

  long(): string {
    const length = (this.u8() << 8) | this.u8()
    if (length > maxCredentialChars) throw new ProtocolError('a credential above the limit')
    return this.#take(length).toString('latin1')
  }

  /** The last field. */
  signature(): Buffer {
    const signature = this.#take(signatureBytes)
    this.end()
    return signature
  }

  end(): void {
    if (this.at !== this.#frame.length) throw new ProtocolError('a frame is longer than its fields')
  }

  #take(count: number): Buffer {
    const end = this.at + count
    if (end > this.#frame.length) throw new ProtocolError('a frame is shorter than its fields')
    const part = this.#frame.subarray(this.at, end)
    this.at = end
    return part
  }
}
