import { generateKeyPairSync } from 'node:crypto'

/** A publisher's key pair: keep `privateKeyPem` secret, give `publicKeyPem` to whoever should trust the publisher. */
export interface SigningKeys {
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string
  /** SPKI, PEM. */
  readonly publicKeyPem: string
}

/** Makes an ed25519 pair from the machine's secure random source. */
export function generateSigningKeys(): SigningKeys {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicKeyPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  }
}
