import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { CloudError } from '../kernel/errors.js'
import { readArchive, sha512 } from './archive.js'
import { canonicalJson } from './canonical-json.js'
import type { PackageJson, PackageRef } from './manifest.js'
import { firstFault, validatorOf } from './schema-check.js'

const hex512 = Type.String({ pattern: '^[0-9a-f]{128}$' })
const publisherName = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,63}$' })

/** What a publisher vouches for. The signature is over its canonical JSON. */
export const PackageStatement = Type.Object(
  {
    /** Keeps a signature from being taken for one of another kind. */
    format: Type.Literal('aaas-package-statement/1'),
    name: Type.String({ maxLength: 150 }),
    version: Type.String({ maxLength: 100 }),
    /** SHA-512 of the tarball. */
    sha512: hex512,
    /** SHA-512 of the canonical JSON of the manifest, with its defaults filled in. */
    manifest: hex512,
    publisher: publisherName,
  },
  { additionalProperties: false },
)
export type PackageStatement = Static<typeof PackageStatement>

/** Travels beside the tarball as JSON. */
export const PackageSignature = Type.Object(
  {
    statement: PackageStatement,
    /** ed25519 (RFC 8032) signature, 64 bytes as lower-case hex: unlike base64, one signature has one text. */
    ed25519: hex512,
  },
  { additionalProperties: false },
)
export type PackageSignature = Static<typeof PackageSignature>

/** Public keys (SPKI, PEM) of one publisher: several while one replaces the other. */
export type TrustedKeys = string | readonly string[]

/** What is refused although its signature is right. */
export interface Revocations {
  /** Digests of tarballs. */
  readonly digests?: readonly string[]
  /** Public keys, PEM. */
  readonly keys?: readonly string[]
  readonly publishers?: readonly string[]
}

/**
 * Signs a package for a publisher.
 * @param options.privateKeyPem - ed25519 key, PKCS #8 PEM.
 * @throws CloudError `core.cloudware.invalid-package`, `core.cloudware.invalid-manifest`, or
 *   `core.kernel.invalid-config` for a wrong key or publisher name.
 */
export function signPackage(options: {
  readonly tarball: Uint8Array
  readonly publisher: string
  readonly privateKeyPem: string
}): PackageSignature {
  const statement = statementOf(options.tarball, options.publisher)
  if (!validatorOf(publisherName).Check(options.publisher)) {
    throw new CloudError(
      'core.kernel.invalid-config',
      'a publisher name is lower-case letters, digits, dots, dashes; at most 64',
      {
        field: 'publisher',
      },
    )
  }
  let key: KeyObject
  try {
    key = createPrivateKey(options.privateKeyPem)
  } catch (cause) {
    throw new CloudError('core.kernel.invalid-config', 'the private key cannot be read', {
      field: 'privateKeyPem',
      cause,
    })
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new CloudError('core.kernel.invalid-config', 'the private key is not an ed25519 key', {
      field: 'privateKeyPem',
    })
  }
  return { statement, ed25519: sign(null, bytesOf(statement), key).toString('hex') }
}

/**
 * Checks that a trusted publisher signed exactly these bytes. The archive is opened only after its digest fits.
 * @param options.signature - as parsed from JSON; its form is checked too.
 * @param options.trust - keys by publisher name.
 * @throws CloudError `core.cloudware.bad-signature`; `details.reason` is `malformed`, `unknown-publisher`, `revoked`,
 *   `changed` or `signature`. `core.cloudware.invalid-package` and `invalid-manifest` when a trusted publisher signed rubbish.
 */
export function verifyPackage(options: {
  readonly tarball: Uint8Array
  readonly signature: unknown
  readonly trust: Readonly<Record<string, TrustedKeys>>
  readonly revoked?: Revocations
}): { readonly ref: PackageRef; readonly packageJson: PackageJson; readonly publisher: string } {
  const { tarball, trust, revoked = {} } = options
  const { statement, ed25519 } = parseSignature(options.signature)
  const { publisher } = statement
  const keys = Object.hasOwn(trust, publisher) ? [trust[publisher] ?? []].flat() : []
  if (keys.length === 0) throw refuse('unknown-publisher', `publisher '${publisher}' is not trusted here`)
  if (revoked.publishers?.includes(publisher)) throw refuse('revoked', `publisher '${publisher}' was revoked`)
  const revokedKeys = (revoked.keys ?? []).map(fingerprint)
  const good = keys.filter(pem => !revokedKeys.includes(fingerprint(pem)))
  if (good.length === 0) throw refuse('revoked', `every key of publisher '${publisher}' was revoked`)
  if (!good.some(pem => verify(null, bytesOf(statement), publicKey(pem), Buffer.from(ed25519, 'hex')))) {
    throw refuse('signature', `the signature was not made by publisher '${publisher}', or was changed`)
  }
  const digest = sha512(tarball)
  if (digest !== statement.sha512) throw refuse('changed', 'the package was changed after it was signed')
  if (revoked.digests?.includes(digest)) throw refuse('revoked', `${statement.name} ${statement.version} was revoked`)
  const { ref, packageJson } = readArchive(tarball)
  const found = statementFor(ref, packageJson, publisher)
  if (canonicalJson(found) !== canonicalJson(statement)) {
    throw refuse('changed', 'the statement names another package than the archive holds')
  }
  return { ref, packageJson, publisher }
}

/** @throws CloudError `core.cloudware.bad-signature` when the value is not a signature file's content. */
export function parseSignature(value: unknown): PackageSignature {
  const validator = validatorOf(PackageSignature)
  if (validator.Check(value)) return value as PackageSignature
  const { field, message } = firstFault(validator.Errors(value))
  throw refuse('malformed', `the signature file is not valid: ${field === '' ? 'it' : field} ${message}`)
}

function statementOf(tarball: Uint8Array, publisher: string): PackageStatement {
  const { ref, packageJson } = readArchive(tarball)
  return statementFor(ref, packageJson, publisher)
}

function statementFor(ref: PackageRef, packageJson: PackageJson, publisher: string): PackageStatement {
  return {
    format: 'aaas-package-statement/1',
    name: ref.name,
    version: ref.version,
    sha512: ref.digest,
    manifest: sha512(canonicalJson(packageJson.aaas)),
    publisher,
  }
}

function bytesOf(statement: PackageStatement): Buffer {
  return Buffer.from(canonicalJson(statement))
}

function publicKey(pem: string): KeyObject {
  let key: KeyObject
  try {
    // A private key in the trust file would work too, by derivation; a secret does not belong there.
    if (/PRIVATE KEY/.test(pem)) throw new Error('it is a private key')
    key = createPublicKey(pem)
  } catch (cause) {
    throw new CloudError('core.kernel.invalid-config', 'a trusted key cannot be read', { field: 'trust', cause })
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new CloudError('core.kernel.invalid-config', 'a trusted key is not an ed25519 key', { field: 'trust' })
  }
  return key
}

/** The same for two PEM texts of one key. */
function fingerprint(pem: string): string {
  return sha512(publicKey(pem).export({ format: 'der', type: 'spki' }))
}

function refuse(reason: string, message: string): CloudError {
  return new CloudError('core.cloudware.bad-signature', message, { details: { reason } })
}
