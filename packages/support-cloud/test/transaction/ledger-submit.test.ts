import { test } from 'tap'
import { ledgerSubmitSuite } from '../../src/transaction/ledger-submit-suite.js'
import { ledgerFixtures } from './ledger-fixture.js'

test('the ledger on PostgreSQL, by submit', async t => {
  ledgerSubmitSuite((name, fn) => t.test(name, fn), await ledgerFixtures(t))
})
