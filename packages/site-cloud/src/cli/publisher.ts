import { createPublicKey } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { generateSigningKeys, type PackageSignature, signPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { makeFolder, type PlatformHome } from './platform-home.js'

/** Name under which this platform's own administrator signs. */
export const localPublisher = 'local'

/**
 * Makes the administrator's signing key the first time (0600).
 * @returns the public key, PEM.
 * @throws CloudError `core.kernel.not-writable`.
 */
export function ensurePublisherKey(home: PlatformHome): string {
  const known = readKey(home.publisherKeyFile)
  // The private key decides: a public one that is lost, or of another pair, is written again.
  if (known !== undefined)
    return keepPublic(home, createPublicKey(known).export({ type: 'spki', format: 'pem' }) as string)
  const keys = generateSigningKeys()
  try {
    makeFolder(home.secretsDir, 0o700)
    writeFileSync(home.publisherKeyFile, keys.privateKeyPem, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    throw new CloudError(
      'core.kernel.not-writable',
      `cannot write ${home.publisherKeyFile}: ${(cause as Error).message}`,
      { field: 'AAAS_HOME', cause },
    )
  }
  return keepPublic(home, keys.publicKeyPem)
}

/** The public key without making one. @throws CloudError `core.cloudware.bad-signature` when this platform never signed. */
export function publisherPublicKey(home: PlatformHome): string {
  const known = readKey(home.publisherKeyFile)
  if (known !== undefined) return createPublicKey(known).export({ type: 'spki', format: 'pem' }) as string
  throw new CloudError(
    'core.cloudware.bad-signature',
    `${home.dir} has no key of its own to check with; name one by --trust`,
    { field: '--trust' },
  )
}

export function signLocally(home: PlatformHome, tarball: Uint8Array): PackageSignature {
  ensurePublisherKey(home)
  return signPackage({ tarball, publisher: localPublisher, privateKeyPem: readFileSync(home.publisherKeyFile, 'utf8') })
}

function readKey(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function keepPublic(home: PlatformHome, pem: string): string {
  if (readKey(home.publisherPublicKeyFile) === pem) return pem
  rmSync(home.publisherPublicKeyFile, { force: true })
  writeFileSync(home.publisherPublicKeyFile, pem, { mode: 0o644 })
  return pem
}
