import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTestEngine } from '@aaas/testing'
import { type Test, test } from 'tap'
import { type NatsTenant, natsAccounts } from '../../src/bus/quota/quota-nats.js'

const engine = findTestEngine('nats')
const program = 'path' in engine ? engine.path : ''
const needsServer = 'skip' in engine ? engine : {}

const tenants: NatsTenant[] = [
  {
    name: 'shop',
    limits: { subscriptions: 2, streamBytes: 1_000_000, messagesPerSecond: 5 },
    maxConnections: 3,
    users: [{ user: 'shop', password: 'pass word!', publish: ['a.>', '$JS.API.>'], subscribe: ['>'] }],
  },
  {
    name: 'travel',
    limits: { streamBytes: 0 },
    users: [
      { nkey: 'UCDRJSVA22S55MMS7O5YKMAYJUPNUWL2MEXVY425MZMVKCAQ2NLPIDJS' },
      { user: 'travel', password: `$2a$11$${'a'.repeat(53)}` },
    ],
  },
  { name: 'free', limits: {}, users: [] },
]

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'aaas-nats-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('the server takes the accounts', needsServer, async t => {
  const file = join(folder(t), 'nats.conf')
  writeFileSync(file, `jetstream: { store_dir: "${folder(t)}" }\n${natsAccounts(tenants)}`)
  const { status, stderr } = spawnSync(program, ['-c', file, '-t'], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
})

test('the server enforces the subscriptions of a tenant, and keeps tenants apart', needsServer, async t => {
  const path = folder(t)
  const port = await freePort()
  const file = join(path, 'nats.conf')
  writeFileSync(file, `listen: 127.0.0.1:${port}\njetstream: { store_dir: "${path}/js" }\n${natsAccounts(tenants)}`)
  const server = spawn(program, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => end(server))
  await new Promise<void>(resolve => {
    server.stderr.on('data', part => String(part).includes('Server is ready') && resolve())
  })
  const heard = await talk(port, ['SUB a.1 1', 'SUB a.2 2', 'PING', 'SUB a.3 3', 'PING'])
  t.match(heard, /PONG[^]*-ERR 'maximum subscriptions exceeded'/i)
  t.match(await talk(port, ['SUB a.1 1', 'PUB b.1 0', '', 'PING']), /Permissions Violation for Publish to "b.1"/)
})

test('what cannot be written into the configuration is refused by name', async t => {
  const [shop] = tenants as [NatsTenant]
  const wrong: [string, NatsTenant][] = [
    ['tenants/0/name', { ...shop, name: 'a b' }],
    ['tenants/0/name', { ...shop, name: 'SYS' }],
    ['tenants/0/users/0/password', { ...shop, users: [{ user: 'x', password: 'a"b' }] }],
    ['tenants/0/users/0/password', { ...shop, users: [{ user: 'x', password: '$NAME' }] }],
    ['tenants/0/users/0/user', { ...shop, users: [{ user: 'x y', password: 'a' }] }],
    ['tenants/0/users/0/nkey', { ...shop, users: [{ nkey: 'SABC' }] }],
    ['tenants/0/users/0/publish', { ...shop, users: [{ user: 'x', password: 'a', publish: ['a"b'] }] }],
    ['tenants/0/maxConnections', { ...shop, maxConnections: 0 }],
    ['subscriptions', { ...shop, limits: { subscriptions: -1 } }],
  ]
  for (const [field, tenant] of wrong) t.match(failure([tenant]), { code: 'core.kernel.invalid-config', field })
  t.match(failure([shop, shop]), { field: 'tenants/1/name' })
})

function failure(tenants: readonly NatsTenant[]): unknown {
  try {
    return natsAccounts(tenants)
  } catch (error) {
    return error
  }
}

/** Says some lines as the tenant `shop` and gives what the server said until it closed or answered the last ping. */
async function talk(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let heard = ''
  const pings = lines.filter(line => line === 'PING').length
  const done = new Promise<void>(resolve => {
    socket.on('data', part => {
      heard += String(part)
      if (heard.split('PONG').length > pings) resolve()
    })
    socket.once('close', () => resolve())
  })
  socket.write(
    ['CONNECT {"user":"shop","pass":"pass word!","verbose":false}', ...lines].map(line => `${line}\r\n`).join(''),
  )
  await done
  socket.destroy()
  return heard
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return
  const gone = once(server, 'exit')
  server.kill()
  await gone
}
