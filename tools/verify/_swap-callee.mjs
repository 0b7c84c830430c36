// A callee of `verify bus-swap` in a process of its own: ready when it says so, gone when it is told to stop.
import { setTimeout } from 'node:timers/promises'
import { serveContract } from '../../packages/core-cloud/dist/src/contract/index.js'
import { silentLogger as logger, systemClock } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { openSwapBus, swapContract } from './_swap.mjs'

const [, , driver, address] = process.argv
const clock = systemClock()
const bus = await openSwapBus(driver, address, `callee-${process.pid}`)
const handlers = {
  async work({ number }) {
    await setTimeout(20)
    return { number, pid: process.pid }
  },
}
const served = await serveContract({ bus, contract: swapContract, handlers, prefix: 'service.swap', clock, logger })
process.once('message', async () => {
  await served.drain()
  await bus[Symbol.asyncDispose]()
  process.exit(0)
})
process.on('disconnect', () => process.exit(1))
process.send('ready')
