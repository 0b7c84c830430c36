import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildPackage } from '@aaas/core-cloud/cloudware'
import type { Ids } from '@aaas/core-cloud/kernel'
import { platformVersion } from '../site-center/index.js'
import type { SiteCenterClient } from './connection.js'
import { keptSecret, type PlatformHome } from './platform-home.js'
import { engineRange } from './platform-templates.js'
import { signLocally } from './publisher.js'

/** Keys and ids of the merchant at the simulated provider; made once per platform. */
interface PaymentKeys {
  readonly appId: string
  readonly sellerId: string
  readonly merchantPrivateKeyPem: string
  readonly providerPrivateKeyPem: string
  readonly adminKey: string
}

/** Platform services that sites call, in the order in which they are started. */
export const serviceNames = ['simulator', 'payment'] as const

/**
 * Pushes and deploys the platform services that sites call: the payment gateway and the simulator of the provider.
 * Nothing happens when they are there already.
 * @returns names of the services that were deployed now.
 */
export async function deployPlatformServices(options: {
  readonly client: SiteCenterClient
  readonly home: PlatformHome
  readonly ids: Ids
  readonly edgePort: number
}): Promise<readonly string[]> {
  const { client, home, ids, edgePort } = options
  const keys = paymentKeys(home, ids)
  const services = [
    {
      name: 'simulator',
      module: "export { simulatorProgram as program } from '@aaas/access-cloud/simulator'\n",
      description: 'Simulator of the Alipay gateway',
      config: {
        alipay: {
          privateKeyPem: keys.providerPrivateKeyPem,
          apps: [
            { appId: keys.appId, sellerId: keys.sellerId, merchantPublicKeyPem: publicPem(keys.merchantPrivateKeyPem) },
          ],
        },
        adminKey: keys.adminKey,
      },
    },
    {
      name: 'payment',
      module: "export { paymentProgram as program } from '@aaas/access-cloud/payment'\n",
      description: 'Payment gateway',
      config: {
        alipay: {
          gatewayUrl: `http://127.0.0.1:${edgePort}/s/simulator/alipay/gateway.do`,
          appId: keys.appId,
          sellerId: keys.sellerId,
          privateKeyPem: keys.merchantPrivateKeyPem,
          alipayPublicKeyPem: publicPem(keys.providerPrivateKeyPem),
          requestsPerSecond: 200,
        },
      },
    },
  ]
  const deployed: string[] = []
  for (const service of services) {
    const tarball = await servicePackage(service)
    const stored = await client.uploadPackage({
      base64: Buffer.from(tarball).toString('base64'),
      signature: signLocally(home, tarball),
    })
    const pushed = await client.pushVersion({ site: service.name, digest: stored.digest, config: service.config })
    const { version: wanted } = await client.getSite({ site: service.name })
    if (wanted === pushed.version) continue
    await client.deploy({ site: service.name, version: pushed.version })
    deployed.push(service.name)
  }
  return deployed
}

/** A package whose program is part of the platform itself: the code is the engine's, the package only names it. */
async function servicePackage(service: { name: string; module: string; description: string }): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'aaas-service-'))
  try {
    const packageJson = {
      name: service.name,
      version: platformVersion,
      description: service.description,
      type: 'module',
      aaas: { kind: 'service', engine: engineRange, entry: 'program.js' },
    }
    await writeFile(join(dir, 'package.json'), `${JSON.stringify(packageJson, null, 2)}\n`)
    await writeFile(join(dir, 'program.js'), service.module)
    return (await buildPackage({ dir })).tarball
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function paymentKeys(home: PlatformHome, ids: Ids): PaymentKeys {
  const text = keptSecret(join(home.secretsDir, 'payment-keys.json'), () =>
    JSON.stringify({
      appId: `20260${digits(ids, 11)}`,
      sellerId: `2088${digits(ids, 12)}`,
      merchantPrivateKeyPem: rsaKey(),
      providerPrivateKeyPem: rsaKey(),
      adminKey: ids.token(24),
    } satisfies PaymentKeys),
  )
  return JSON.parse(text) as PaymentKeys
}

function rsaKey(): string {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string
}

function publicPem(privatePem: string): string {
  return createPublicKey(privatePem).export({ type: 'spki', format: 'pem' }) as string
}

function digits(ids: Ids, count: number): string {
  return Array.from({ length: count }, () => Math.floor(ids.random() * 10)).join('')
}
