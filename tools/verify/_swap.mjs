// What caller and callee of `verify bus-swap` share.
import { Type } from 'typebox'
import { connectBus } from '../../packages/core-cloud/dist/src/bus/index.js'
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

/** @param driver - `unix` (the address is a socket's path) or `nats` (a server's URL). */
export async function openSwapBus(driver, address, name) {
  const ports = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger }
  if (driver === 'unix') return connectBus({ ...ports, socketPath: address, token: name })
  const { natsBus } = await import('../../packages/core-cloud/dist/src/bus/nats/nats-bus.js')
  return natsBus({ ...ports, servers: address, name })
}
