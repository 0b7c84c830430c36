// The wallet: four operations, each one keyed transaction, and the settlement with a bank as a saga.
import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { pgDatabase } from '@aaas/support-cloud/rdbms'
import { openLedger, pgSagas, pgTransactions } from '@aaas/support-cloud/transaction'

export const clock = systemClock({ keepAlive: true })
export const ids = systemIds()
const currency = 'CNY'

/** @param bank - pays out to a merchant: `pay({ key, amount })` and `find({ key })`. */
export function openWallet({ url, bank }) {
  const database = pgDatabase({ url, maxConnections: 4 })
  const ledger = openLedger({ database })
  const transactions = pgTransactions({ url, clock, ids, ledger })
  const sagas = pgSagas({ database, clock, ids, logger: silentLogger, leaseMs: 2_000, pollMs: 100 })
  sagas.define(settlement({ transactions, bank }))
  const worker = sagas.work()
  /** Moves money and tells about it, once per key: the answer to a repeat is the stored one. */
  const move = (what, key, { from, to, amount }) =>
    transactions.run(
      key,
      async tx => {
        const id = ids.uuid()
        await tx.ledger.apply([{ kind: 'posted', id, debit: from, credit: to, amount, currency, code: what, ref: key }])
        await tx.emit({ topic: `wallet.${what}`, key: from, payload: { id, from, to, amount } })
        return { transfer: id, amount }
      },
      { scope: what, body: { from, to, amount } },
    )
  return {
    database,
    ledger,
    sagas,
    openCard: id => ledger.createAccounts([{ id, currency, limit: 'debits-within-credits' }]),
    openMerchant: id => ledger.createAccounts([{ id, currency, limit: 'debits-within-credits' }]),
    topUp: (key, card, amount) => move('top-up', key, { from: 'bank', to: card, amount }),
    pay: (key, card, merchant, amount) => move('pay', key, { from: card, to: merchant, amount }),
    refund: (key, card, merchant, amount) => move('refund', key, { from: merchant, to: card, amount }),
    settle: (id, merchant, amount) => sagas.start({ id, name: 'settlement', input: { merchant, amount } }),
    settled: id => sagas.ended(id, { deadline: clock.now() + 30_000 }),
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]()
      await transactions[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

/** Reserve what is paid out, ask the bank, book it; or give it back. The bank may leave us without an answer. */
function settlement({ transactions, bank }) {
  // The pending transfer's id is drawn in the first step's transaction, so that a repeat of the step finds the same one.
  const booking = (name, transferOf) => async context => {
    const { result } = await transactions.run(
      context.key,
      async tx => {
        const transfer = transferOf(context)
        await tx.ledger.apply([transfer])
        return { id: transfer.id }
      },
      { scope: `settlement ${name}` },
    )
    return result
  }
  return {
    name: 'settlement',
    version: 1,
    steps: [
      {
        name: 'reserve',
        run: booking('reserve', ({ input: { merchant, amount }, sagaId }) => ({
          ...{ kind: 'pending', id: ids.uuid(), debit: merchant, credit: 'bank', amount, currency },
          ...{ code: 'settle', ref: sagaId },
        })),
        async compensate({ sagaId, key, output }) {
          // Without an answer the transaction's key tells whether there is something to give back.
          const known =
            output ?? (await transactions.outcome(`${sagaId}/reserve`, { scope: 'settlement reserve' })).result
          if (known === undefined) return
          const release = () => ({ kind: 'void', id: ids.uuid(), pending: known.id })
          await booking('release', release)({ key, sagaId })
        },
      },
      {
        name: 'payout',
        // The bank knows no keys: it is asked once, and when there was no answer, what became of it.
        retry: { attempts: 1 },
        run: ({ key, input }) => bank.pay({ key, amount: input.amount }),
        unknown: async ({ key }) => ({ outcome: (await bank.find({ key })) ? 'done' : 'not-done' }),
        unknownRetry: { attempts: 10, firstPauseMs: 100, longestPauseMs: 500 },
      },
      {
        name: 'book',
        onFailure: 'park',
        run: booking('book', ({ outputs }) => ({ kind: 'post', id: ids.uuid(), pending: outputs.reserve.id })),
      },
    ],
  }
}

/** A bank that loses some of its answers, and refuses large sums. */
export function forgetfulBank({ loses }) {
  const paid = new Map()
  let calls = 0
  return {
    async pay({ key, amount }) {
      if (amount > 1_000_000) throw new CloudError('support.transaction.insufficient', 'the bank refuses')
      paid.set(key, amount)
      calls += 1
      if (loses(calls)) throw new Error('the line went dead')
      return { paid: amount }
    },
    find: async ({ key }) => paid.has(key),
    payments: paid,
  }
}
