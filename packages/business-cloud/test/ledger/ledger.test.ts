import { chart, createChart, LedgerService, ledgerContract } from '@aaas/business-cloud/ledger'
import { test } from 'tap'
import { Compile } from 'typebox/compile'
import { callContext, openShop, placeInput } from '../order/shop-fixture.js'

test('the books of a shop', async t => {
  const shop = await openShop({ stock: { a: 5 } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  await createChart(shop.database, { currency: 'CNY' })
  await t.rejects(
    createChart(shop.database, { currency: 'USD' }),
    { code: 'support.transaction.conflict' },
    'a shop keeps its currency',
  )
  const ledger = new LedgerService(shop)
  const { number } = await shop.orders.place(placeInput(['a', 2]), callContext('k1'))
  await shop.orders.place(placeInput(['a', 1]), callContext('k2'))
  await shop.orders.markPaid({ number, amount: 2000, paidAt: 1 })
  const { accounts } = await ledger.balances()
  t.ok(Compile(ledgerContract.methods.balances.output).Check({ accounts }))
  const of = (account: string) => accounts.find(one => one.account === account)
  t.match(of(chart.revenue), {
    creditsPosted: 2000,
    debitsPosted: 12,
    creditsPending: 1000,
    debitsPending: 6,
    balance: 1988,
  })
  t.match(of(chart.fees), { creditsPosted: 12, creditsPending: 6, balance: 12 })
  t.match(of(chart.clearing), { debitsPosted: 2000, debitsPending: 1000, balance: -2000 })
  const check = await ledger.check()
  t.ok(Compile(ledgerContract.methods.check.output).Check(check))
  t.match(check, { balanced: true, accounts: 4, transfers: 6, difference: 0, wrongAccounts: [] })
})
