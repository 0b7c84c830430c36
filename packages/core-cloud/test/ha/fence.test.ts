import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTestEngine, openTestDatabase } from '@aaas/testing'
import { Client } from 'pg'
import { test } from 'tap'
import { memoryFence } from '../../src/ha/fence/fence.js'
import { fencedConsumer, fenceHeaders, tokenIn } from '../../src/ha/fence/message-fence.js'
import { type RedisFenceClient, redisFence } from '../../src/ha/fence/redis-fence.js'
import { sqlFence, sqlFenceTable } from '../../src/ha/fence/sql-fence.js'
import { type FencedStore, fencedPut } from '../../src/ha/fence/storage-fence.js'

const tooLate = { code: 'core.ha.fenced', field: 'token' }

test('in memory: the same and higher tokens pass, lower ones do not; names do not mix', async () => {
  const fence = memoryFence({ maxNames: 2 })
  await fence.pass({ name: 'a', token: 5 })
  await fence.pass({ name: 'a', token: 5 })
  await fence.pass({ name: 'b', token: 1 })
  await fence.pass({ name: 'a', token: Number.MAX_SAFE_INTEGER })
  await assert.rejects(fence.pass({ name: 'a', token: 6 }), tooLate)
  await assert.rejects(fence.pass({ name: 'c', token: 1 }), { code: 'core.ha.full' })
  for (const token of [0, -1, 1.5, Number.NaN, 2 ** 53])
    await assert.rejects(fence.pass({ name: 'a', token }), { code: 'core.ha.invalid-argument', field: 'token' })
})

test('in PostgreSQL: of two transactions the older holder’s loses, however they overlap', async () => {
  await using database = await openTestDatabase()
  const open = async (): Promise<Client> => {
    const client = new Client({ connectionString: database.url })
    await client.connect()
    return client
  }
  const [old, young] = [await open(), await open()]
  try {
    await old.query(sqlFenceTable)
    await old.query(sqlFenceTable)
    await old.query('create table work (who text)')
    const pass = (client: Client, token: number): Promise<void> =>
      sqlFence(client as never).pass({ name: 'job', token })
    await old.query('begin')
    await pass(old, 7)
    await old.query("insert into work values ('old')")
    await young.query('begin')
    const waiting = pass(young, 12)
    await old.query('commit')
    await waiting
    await old.query('begin')
    const late = assert.rejects(pass(old, 7), tooLate)
    await young.query("insert into work values ('young')")
    await young.query('commit')
    await late
    await old.query('rollback')
    const { rows } = await old.query<{ readonly who: string }>('select who from work')
    assert.deepEqual(
      rows.map(({ who }) => who),
      ['old', 'young'],
    )
    await assert.rejects(pass(old, 11), tooLate)
    await pass(old, 12)
  } finally {
    await old.end()
    await young.end()
  }
})

const redis = findTestEngine('redis')

test('in Redis: check and write are one script', {
  skip: 'skip' in redis ? redis.skip : false,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aaas-redis-'))
  const socketPath = join(folder, 'redis.sock')
  const server = spawn(
    'path' in redis ? redis.path : '',
    ['--port', '0', '--unixsocket', socketPath, '--save', '', '--dir', folder],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  try {
    for await (const line of server.stdout) if (/ready to accept/i.test(String(line))) break
    const socket = connect(socketPath)
    await once(socket, 'connect')
    const client = redisOn(socket)
    const fence = redisFence(client)
    await fence.set({ name: 'job', token: 9 }, 'k', 'nine')
    await fence.set({ name: 'job', token: 10 }, 'k', 'ten')
    await assert.rejects(fence.set({ name: 'job', token: 9 }, 'k', 'again'), { ...tooLate, details: { highest: 10 } })
    await fence.set({ name: 'other', token: 1 }, 'other', 'one', { ttlMs: 60_000 })
    assert.equal(await client.eval("return redis.call('get', KEYS[1])", 1, 'k'), 'ten')
    await fence.set({ name: 'job', token: Number.MAX_SAFE_INTEGER }, 'k', 'last')
    await assert.rejects(fence.set({ name: 'job', token: 2 ** 52 }, 'k', 'late'), tooLate)
    assert.equal(await client.eval("return redis.call('get', KEYS[1])", 1, 'k'), 'last')
    assert.ok(Number(await client.eval("return redis.call('pttl', KEYS[1])", 1, 'other')) > 50_000)
    socket.destroy()
  } finally {
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})

/** The least client of Redis: one call at a time, answers of one line or one string. */
function redisOn(socket: Socket): RedisFenceClient {
  return {
    async eval(script, keys, ...rest) {
      const words = ['EVAL', script, String(keys), ...rest]
      socket.write(`*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
      const [bytes] = (await once(socket, 'data')) as [Buffer]
      const [head = '', body] = bytes.toString().split('\r\n')
      if (head.startsWith('-')) throw new Error(head)
      return head.startsWith('$') ? body : head.slice(1)
    },
  }
}

test('in an object store: a later holder’s object is not written over, also when both write at once', async () => {
  const objects = new Map<string, { etag: string; metadata: Readonly<Record<string, string>>; body: string }>()
  let etags = 0
  let between: () => Promise<void> = async () => undefined
  const store: FencedStore = {
    head: async key => {
      const found = objects.get(key)
      await between()
      return found
    },
    put: async (key, body, { ifMatch, metadata }) => {
      if (objects.get(key)?.etag !== ifMatch) return false
      objects.set(key, { etag: `e${++etags}`, metadata, body: Buffer.from(body).toString() })
      return true
    },
  }
  const put = (token: number, body: string) => fencedPut(store, { name: 'job', token }, 'o', Buffer.from(body))
  await put(3, 'three')
  between = async () => {
    between = async () => undefined
    await put(8, 'eight')
  }
  await assert.rejects(put(5, 'five'), tooLate)
  assert.equal(objects.get('o')?.body, 'eight')
  await put(8, 'again')
  let rivals = 0
  between = async () => {
    const found = objects.get('o')
    if (found !== undefined) objects.set('o', { ...found, etag: `rival${++rivals}` })
  }
  await assert.rejects(put(9, 'nine'), { code: 'core.ha.overloaded' })
})

test('at a consumer: late messages are left out, half tokens and foreign ones are errors', async () => {
  const seen: string[] = []
  const consume = fencedConsumer(
    memoryFence(),
    'job',
    async (message: { readonly headers: Record<string, string>; readonly text: string }) => {
      seen.push(message.text)
    },
    ({ text }) => {
      seen.push(`late ${text}`)
    },
  )
  const message = (token: number, text: string) => ({ headers: { ...fenceHeaders({ name: 'job', token }) }, text })
  await consume(message(2, 'a'))
  await consume(message(3, 'b'))
  await consume(message(2, 'c'))
  assert.deepEqual(seen, ['a', 'b', 'late c'])
  const refusal = { code: 'core.ha.invalid-argument' }
  await assert.rejects(consume({ headers: {}, text: '' }), refusal)
  await assert.rejects(consume({ headers: fenceHeaders({ name: 'x', token: 9 }), text: '' }), refusal)
  assert.throws(() => tokenIn({ 'fence-name': 'job' }), refusal)
  assert.throws(() => tokenIn({ 'fence-name': 'job', 'fence-token': '07' }), refusal)
  assert.equal(tokenIn({}), undefined)
})
