import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'
import { countPlain, manualTime, simulateLedger } from './ledger-simulation.js'

test('any calls have the answers and leave the balances that the oracle says', async t => {
  const database = await openLedgerDatabase(t)
  await manualTime(database)
  const plain = await countPlain(database)
  const seen = new Set<string>()
  for (const seed of [1, 2, 3]) {
    const { flaw, tally } = await simulateLedger(database, { seed, operations: 4_000 })
    t.equal(flaw, undefined, `seed ${seed}`)
    for (const answer of tally.keys()) seen.add(answer)
  }
  const reasons = ['conflict', 'no-debit', 'no-credit', 'asset-differs', 'balancing-without-limit', 'exceeds-credits']
  reasons.push('exceeds-debits', 'pending-not-found', 'not-pending', 'exceeds-pending', 'already-posted')
  reasons.push('already-voided', 'expired', 'linked-failed')
  t.same(
    ['n', '*n', ...reasons.map(reason => `!${reason}`)].filter(answer => !seen.has(answer)),
    [],
    'every kind of answer occurred',
  )
  t.ok((await plain()) > 20, `calls that took the way without a loop: ${await plain()}`)
})
