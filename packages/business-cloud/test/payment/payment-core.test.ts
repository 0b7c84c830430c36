import { decidePayment, type OrderPaymentState } from '@aaas/business-cloud/payment'
import { test } from 'tap'

type Remote = Parameters<typeof decidePayment>[1]['state']
const remote: readonly Remote[] = ['unknown', 'created', 'closed', 'paid', 'refunding', 'refunded']

/** What each report does in each known state; `-`: nothing. */
const table: Readonly<Record<OrderPaymentState, string>> = {
  //          unknown created closed paid refunding refunded
  unknown: '   -      record  record pay  -         record',
  created: '   -      -       record pay  -         record',
  closed: '    -      -       -      pay  -         record',
  paid: '      -      -       -      -    -         returned',
  refunding: ' -      -       -      -    -         settle',
  refunded: '  -      -       -      -    -         -',
  mismatch: '  -      -       -      -    -         -',
}

test('late, repeated and reordered reports', t => {
  for (const [state, row] of Object.entries(table)) {
    const effects = row.trim().split(/\s+/)
    for (const [index, reported] of remote.entries()) {
      const report = {
        paymentId: 'payment-1',
        provider: 'alipay',
        state: reported,
        amount: 5,
        currency: 'CNY',
        refundedAmount: reported === 'refunded' ? 5 : 0,
      }
      const decision = decidePayment({ state: state as OrderPaymentState, amount: 5, currency: 'CNY' }, report)
      t.equal(decision.effect, effects[index] === '-' ? 'none' : effects[index], `${reported} when ${state}`)
    }
  }
  t.end()
})

test('what is not the order’s amount is never applied', t => {
  const known = { state: 'created', amount: 5, currency: 'CNY' } as const
  const report = {
    paymentId: 'payment-1',
    provider: 'alipay',
    state: 'paid',
    amount: 5,
    currency: 'CNY',
    refundedAmount: 0,
  } as const
  for (const wrong of [
    { amount: 4 },
    { amount: 6 },
    { currency: 'USD' },
    { state: 'refunded', refundedAmount: 4 } as const,
  ]) {
    t.equal(decidePayment(known, { ...report, ...wrong }).effect, 'mismatch')
  }
  t.end()
})
