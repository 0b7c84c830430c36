import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { type BusIdentity, issueDirectCredential, type TenantLimits } from '@aaas/core-cloud/bus'
import type { Clock } from '../kernel/clock.js'

/** What an instance needs to call others directly and to be called; sent with its first message. */
export interface DirectSettings {
  /** Where it listens, in the folder of all sockets. */
  readonly socketPath: string
  readonly cluster: string
  /** JSON web keys (ed25519): its own private one, the host's public one. */
  readonly privateKey: JsonWebKey
  readonly issuer: JsonWebKey
  readonly credential: string
  /** For services: what one tenant may use of it directly. Sites are called by services only, which nobody limits there. */
  readonly tenantLimits?: TenantLimits
}

/** How long a credential is good. A new one comes every quarter of that, so that none ends while its host lives. */
const credentialMs = 4 * 86_400_000
const renewMs = credentialMs / 4
/** A clock that is set back a little must not make a new credential one of the future. */
const leewayMs = 60_000

/** Gives the instances of a host what they prove themselves with to each other. Its key lives as long as the host. */
export interface DirectIssuer extends Disposable {
  admit(instance: string, identity: BusIdentity): Omit<DirectSettings, 'socketPath' | 'tenantLimits'>
  /** The instance is gone; nobody renews its credential. */
  revoke(instance: string): void
}

export function createDirectIssuer(options: {
  /** Name of the cluster: credentials of another host mean nothing here. */
  readonly cluster: string
  readonly clock: Clock
  /** An instance is to use this credential from now on. */
  readonly renewed: (instance: string, credential: string) => void
}): DirectIssuer {
  const { cluster, clock, renewed } = options
  const issuer = generateKeyPairSync('ed25519')
  const issuerJwk = issuer.publicKey.export({ format: 'jwk' })
  const admitted = new Map<string, { readonly identity: BusIdentity; readonly publicKey: KeyObject }>()
  const issue = (identity: BusIdentity, publicKey: KeyObject): string => {
    const now = clock.now()
    const from = Math.max(0, Math.floor(now - leewayMs))
    const until = Math.floor(now + credentialMs)
    return issueDirectCredential({ issuerKey: issuer.privateKey, publicKey, identity, cluster, from, until })
  }
  let cancel = (): void => undefined
  const schedule = (): void => {
    cancel = clock.after(renewMs, () => {
      for (const [instance, { identity, publicKey }] of admitted) renewed(instance, issue(identity, publicKey))
      schedule()
    })
  }
  schedule()
  return {
    admit(instance, identity) {
      const own = generateKeyPairSync('ed25519')
      admitted.set(instance, { identity, publicKey: own.publicKey })
      const privateKey = own.privateKey.export({ format: 'jwk' })
      return { cluster, privateKey, issuer: issuerJwk, credential: issue(identity, own.publicKey) }
    },
    revoke: instance => void admitted.delete(instance),
    [Symbol.dispose]: () => cancel(),
  }
}

/** The keys of settings, as the bus takes them. */
export function keysOf({ privateKey, issuer }: DirectSettings): {
  readonly privateKey: KeyObject
  readonly issuer: KeyObject
} {
  return {
    privateKey: createPrivateKey({ key: privateKey, format: 'jwk' }),
    issuer: createPublicKey({ key: issuer, format: 'jwk' }),
  }
}
