import { parseConfig } from '@aaas/access-cloud/payment'
import { defineProgram, type InstanceContext, type RunningProgram } from '@aaas/core-cloud/deploy'
import { Lifecycle } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { alipaySimulator } from './alipay-simulator.js'
import { SimulatorConfig } from './simulator-config.js'
import { simulatorHttpHandler } from './simulator-http.js'
import { simulatorMigrations } from './simulator-migrations.js'

/** The provider simulators as a platform service. It needs HTTP only: providers are not on the bus. */
export const simulatorProgram = defineProgram({
  async release(context) {
    parseConfig(SimulatorConfig, context.config, 'simulator')
    await using database = pgDatabase({ url: context.databaseUrl })
    await migrate(database, [simulatorMigrations])
  },
  start: startSimulator,
})

async function startSimulator(context: InstanceContext): Promise<RunningProgram> {
  const { clock, ids, logger } = context
  const { alipay, adminKey } = parseConfig(SimulatorConfig, context.config, 'simulator')
  const lifecycle = new Lifecycle({ clock })
  try {
    const database = lifecycle.use('database', pgDatabase({ url: context.databaseUrl }))
    const simulator = lifecycle.use('alipay', alipaySimulator({ database, config: alipay, clock, ids, logger }))
    const health = async (): Promise<void> => {
      await database.query({ name: 'simulator-alive', text: 'select 1 from sim_alipay_trade limit 1' })
    }
    await health()
    simulator.notifier.start()
    return {
      handler: simulatorHttpHandler({
        simulator,
        database,
        health,
        clock,
        logger,
        ...(adminKey === undefined ? {} : { adminKey }),
      }),
      health,
      drain: () => simulator.notifier.stop(),
      [Symbol.asyncDispose]: () => lifecycle.stop(),
    }
  } catch (error) {
    await lifecycle.stop().catch(() => undefined)
    throw error
  }
}
