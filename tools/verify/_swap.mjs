// What caller and callee of `verify bus-swap` share.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Type } from 'typebox'
import { connectBus, directBus, issueDirectCredential } from '../../packages/core-cloud/dist/src/bus/index.js'
import { defineContract } from '../../packages/core-cloud/dist/src/contract/index.js'
import { silentLogger as logger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'

export const swapContract = defineContract({
  name: 'verify.swap',
  version: '1.0.0',
  methods: {
    work: {
      summary: 'Works for 20 milliseconds.',
      input: Type.Object({ number: Type.Integer() }),
      output: Type.Object({ number: Type.Integer(), pid: Type.Integer() }),
    },
  },
})

/** @param driver - `unix` or `direct` (the address is the path of the hub's socket) or `nats` (a server's URL). */
export async function openSwapBus(driver, address, name) {
  const ports = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger }
  if (driver === 'unix') return connectBus({ ...ports, socketPath: address, token: name })
  if (driver === 'direct') {
    const below = await connectBus({ ...ports, socketPath: address, token: name })
    return openDirect(ports, below, dirname(address), name)
  }
  const { natsBus } = await import('../../packages/core-cloud/dist/src/bus/nats/nats-bus.js')
  return natsBus({ ...ports, servers: address, name })
}

/** Joins the direct path with a credential made by the key in the folder's `issuer.pem`. */
function openDirect(ports, below, folder, name) {
  const issuerKey = createPrivateKey(readFileSync(join(folder, 'issuer.pem')))
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const identity = { name, kind: 'service', publish: ['>'], subscribe: ['>'] }
  const now = ports.clock.now()
  const times = { from: Math.floor(now) - 60_000, until: Math.floor(now) + 3_600_000 }
  const credential = issueDirectCredential({ issuerKey, publicKey, identity, cluster: 'swap', ...times })
  return directBus({
    ...ports,
    below,
    credential: () => credential,
    privateKey,
    issuers: [createPublicKey(issuerKey)],
    cluster: 'swap',
    listen: { socketPath: join(folder, name) },
  })
}
