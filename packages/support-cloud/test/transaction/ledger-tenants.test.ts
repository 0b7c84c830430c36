import { type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { seededIds } from '@aaas/testing'
import { test } from 'tap'
import { openLedgerDatabase } from './ledger-fixture.js'
import { manualTime } from './ledger-simulation.js'

const ids = seededIds(9)
const movement = (kind: 'posted' | 'pending', tenant: string, extra: object = {}) =>
  ({
    ...{ kind, id: ids.uuid(), debit: `${tenant}:a`, credit: `${tenant}:b`, amount: 5, currency: 'CNY', code: 'x' },
    ...extra,
  }) as const

test('a ledger within a prefix knows no other accounts, nor their transfers', async t => {
  const database = await openLedgerDatabase(t)
  const whole = openLedger({ database })
  const [mine, other] = [openLedger({ database, within: 't1:' }), openLedger({ database, within: 't2:' })]
  for (const [ledger, tenant] of [[mine, 't1'] as const, [other, 't2'] as const]) {
    await ledger.createAccounts([`${tenant}:a`, `${tenant}:b`].map(id => ({ id, currency: 'CNY' })))
  }
  const unknown = (field: string) => ({ code: 'support.transaction.unknown-account', field })
  await t.rejects(mine.createAccounts([{ id: 't2:c', currency: 'CNY' }]), unknown('accounts/0/id'))
  const [own, foreign] = [movement('pending', 't1'), movement('pending', 't2')]
  await mine.submit([own])
  await other.submit([foreign])
  await t.rejects(mine.submit([movement('posted', 't1'), movement('posted', 't2')]), unknown('transfers/1/debit'))
  await t.rejects(mine.apply([movement('posted', 't1', { credit: 't2:b' })]), unknown('transfers/0/credit'))
  const post = (pending: string): LedgerTransfer => ({ kind: 'post', id: ids.uuid(), pending })
  for (const call of [[post(foreign.id)], [post(foreign.id), movement('posted', 't1')]]) {
    const [answer] = await mine.submit(call)
    t.match(answer, { status: 'rejected', reason: 'pending-not-found' }, `a call of ${call.length}`)
    await t.rejects(mine.apply(call.map(item => ({ ...item, id: ids.uuid() }))), {
      code: 'support.transaction.not-pending',
    })
  }
  t.match(await mine.submit([post(own.id), movement('posted', 't1')]), [{ status: 'applied' }, { status: 'applied' }])

  t.same(await mine.lookup([foreign.id]), [])
  t.equal((await mine.lookup([own.id])).length, 1)
  t.same(
    (await mine.accounts()).items.map(({ id }) => id),
    ['t1:a', 't1:b'],
  )
  t.same(
    (await mine.balances()).map(({ account }) => account),
    ['t1:a', 't1:b'],
  )
  t.same(await mine.balances(['t2:a']), [])
  await t.rejects(mine.balanceAt('t2:a', 0), unknown('account'))
  await t.rejects(mine.history('t2:a'), unknown('account'))
  t.match(
    await whole.balances(['t2:a']),
    [{ debitsPosted: 0, debitsPending: 5 }],
    'what belongs to others is as it was',
  )
  t.match(await whole.verify(), { ok: true })
})

test('sweeps side by side, and beside posts, give back each transfer once', async t => {
  const database = await openLedgerDatabase(t, { maxConnections: 8 })
  await manualTime(database)
  await database.script('insert into test_time values (0)')
  const ledger = openLedger({ database })
  await ledger.createAccounts(['t:a', 't:b'].map(id => ({ id, currency: 'CNY', shards: 2 })))
  const due = Array.from({ length: 120 }, () => movement('pending', 't', { timeoutMs: 10 }))
  const open = Array.from({ length: 20 }, () => movement('pending', 't', { timeoutMs: 60_000 }))
  await ledger.submit([...due, ...open])
  await database.script('update test_time set ms = 10')
  const posts = open.map(({ id }): LedgerTransfer => ({ kind: 'post', id: ids.uuid(), pending: id }))
  const late = due.map(({ id }): LedgerTransfer => ({ kind: 'post', id: ids.uuid(), pending: id }))
  const work: Promise<unknown>[] = []
  const sweeps = Array.from({ length: 24 }, () => ledger.expire(10))
  for (let at = 0; at < 20; at += 4) {
    work.push(ledger.submit(posts.slice(at, at + 4)), ledger.submit(late.slice(at * 6, at * 6 + 6)))
  }
  let dealt = (await Promise.all(sweeps)).reduce((sum, count) => sum + count, 0)
  await Promise.all(work)
  for (let more = 10; more === 10; dealt += more) more = await ledger.expire(10)
  t.equal(dealt, 120, 'no row of the queue is dealt with twice')
  const stored = await ledger.lookup(due.map(({ id }) => id))
  t.equal(stored.filter(({ resolved }) => resolved === 'expire').length, 120)
  const posted = (await ledger.lookup(posts.map(({ id }) => id))).filter(({ reason }) => reason === undefined)
  t.equal(posted.length, 20)
  t.match(await ledger.balances(['t:a']), [{ debitsPosted: 100, debitsPending: 0 }])
  t.match(await ledger.verify(), { ok: true })
})
