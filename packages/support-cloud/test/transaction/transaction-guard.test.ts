import { createSocket } from 'node:dgram'
import { createServer, get } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { CloudError } from '@aaas/core-cloud/kernel'
import { systemNetworkGuard } from '@aaas/support-cloud/transaction'
import { test } from 'tap'
import { openTransactions } from './transaction-fixture.js'

test('network calls inside a transaction are refused with their place', async t => {
  const opened = await openTransactions()
  const guard = systemNetworkGuard()
  const transactions = opened.open({ guard })
  const server = createServer((_request, response) => response.end('hello'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/`
  t.teardown(async () => {
    guard[Symbol.dispose]()
    server.close()
    await opened[Symbol.asyncDispose]()
  })
  const kept = connect(port, '127.0.0.1')
  await new Promise(resolve => kept.once('connect', resolve))
  const calls: Readonly<Record<string, () => unknown>> = {
    fetch: () => fetch(url),
    'http.get': () => get(url).on('error', () => undefined),
    'net.connect': () => connect(port, '127.0.0.1').on('error', () => undefined),
    'a write on an open connection': () => kept.write('GET / HTTP/1.1\r\n\r\n'),
    'a datagram': () => createSocket('udp4').unref().send('x', 9, '127.0.0.1'),
    'another database pool': () => opened.database.query({ text: 'select 1' }),
    'a call whose error is swallowed': () => fetch(url).catch(() => undefined),
  }
  for (const [name, call] of Object.entries(calls)) {
    const work = transactions.run(name, async tx => {
      await tx.query({ text: 'insert into effect values (1)' })
      await call()
    })
    const error = await work.then(
      () => undefined,
      (failure: unknown) => failure,
    )
    t.ok(CloudError.is(error, 'support.transaction.network-call'), `${name}: ${String(error)}`)
    if (CloudError.is(error)) t.match(error.details?.place, /transaction-guard\.test\.[jt]s:\d+:\d+$/, name)
  }
  kept.destroy()
  t.same(await opened.database.query({ text: 'select n from effect' }), [], 'nothing of them was committed')
  t.equal(await (await fetch(url)).text(), 'hello', 'outside of transactions the network is open')
  const { result } = await transactions.run('fine', async tx => {
    process.stdout.write('# writing to standard output is fine\n')
    await Promise.all([1, 2, 3].map(n => tx.query({ text: 'insert into effect values ($1)', values: [n] })))
    return 'done'
  })
  t.equal(result, 'done')
})

test('a transaction inside a transaction is refused', async t => {
  const opened = await openTransactions()
  using guard = systemNetworkGuard()
  const transactions = opened.open({ guard })
  t.teardown(() => opened[Symbol.asyncDispose]())
  const work = transactions.run('outer', async tx => {
    await tx.query({ text: 'insert into effect values (1)' })
    return transactions.run('inner', async () => 1)
  })
  await t.rejects(work, { code: 'support.transaction.nested' })
  t.same(await opened.database.query({ text: 'select n from effect' }), [])
})

test('a guard that is disposed leaves nothing behind', async t => {
  const before = [Object.getOwnPropertyDescriptor(globalThis, 'fetch')?.value]
  const guard = systemNetworkGuard()
  guard[Symbol.dispose]()
  t.same([Object.getOwnPropertyDescriptor(globalThis, 'fetch')?.value], before)
})
