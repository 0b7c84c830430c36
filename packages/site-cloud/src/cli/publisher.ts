import { readFileSync, writeFileSync } from 'node:fs'
import { generateSigningKeys, type PackageSignature, signPackage } from '@aaas/core-cloud/cloudware'
import type { PlatformHome } from './platform-home.js'

/** Name under which this platform's own administrator signs. */
export const localPublisher = 'local'

/** Makes the administrator's signing key the first time (0600). @returns the public key, PEM. */
export function ensurePublisherKey(home: PlatformHome): string {
  try {
    return readFileSync(home.publisherPublicKeyFile, 'utf8')
  } catch {
    const keys = generateSigningKeys()
    writeFileSync(home.publisherKeyFile, keys.privateKeyPem, { mode: 0o600 })
    writeFileSync(home.publisherPublicKeyFile, keys.publicKeyPem, { mode: 0o644 })
    return keys.publicKeyPem
  }
}

export function signLocally(home: PlatformHome, tarball: Uint8Array): PackageSignature {
  return signPackage({ tarball, publisher: localPublisher, privateKeyPem: readFileSync(home.publisherKeyFile, 'utf8') })
}
