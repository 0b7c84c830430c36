// npm run verify -- ledger-model [--operations N] [--seed S]: seeded random transfers against the plain oracle and a real
// PostgreSQL; 200,000 of them unless told otherwise. A failing seed is one number that reproduces the run.
import { onOneServer } from '../../bench/one-server.mjs'
import { migrate, pgDatabase } from '../../packages/support-cloud/dist/src/rdbms/index.js'
import { transactionMigrations } from '../../packages/support-cloud/dist/src/transaction/index.js'
import {
  countPlain,
  manualTime,
  simulateLedger,
} from '../../packages/support-cloud/dist/test/transaction/ledger-simulation.js'

const given = (name, fallback) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}

export function verify({ say }) {
  const operations = given('--operations', 200_000)
  return onOneServer({ minutes: 10, say }, async server => {
    const tally = {}
    const started = performance.now()
    let done = 0
    let withoutLoop = 0
    for (let seed = given('--seed', 1); done < operations; seed++) {
      const database = pgDatabase({ url: (await server.database(`model_${seed}`)).href, maxConnections: 4 })
      await migrate(database, [transactionMigrations])
      await manualTime(database)
      const plain = await countPlain(database)
      const result = await simulateLedger(database, { seed, operations: Math.min(10_000, operations - done) })
      withoutLoop += await plain()
      await database[Symbol.asyncDispose]()
      done += result.done
      for (const [answer, count] of result.tally) tally[answer] = (tally[answer] ?? 0) + count
      if (result.flaw !== undefined) return { ok: false, seed, reason: result.flaw, done }
      say(`seed ${seed}: ${result.done} transfers as the oracle says`)
    }
    return {
      ok: withoutLoop > 0,
      done,
      withoutLoop,
      seconds: Math.round((performance.now() - started) / 100) / 10,
      answers: tally,
    }
  })
}
