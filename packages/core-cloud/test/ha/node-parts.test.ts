import assert from 'node:assert/strict'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { AppendEncoder } from '../../src/ha/node/append-encoder.js'
import { ByteReader } from '../../src/ha/node/byte-reader.js'
import { ByteWriter } from '../../src/ha/node/byte-writer.js'
import { decodeCommand, encodeCommand, encodeOpening } from '../../src/ha/node/command.js'
import { decodeFrame, decodeItem, encodeFrame, encodeItem } from '../../src/ha/node/node-wire.js'
import { Sessions, sessionDefaults } from '../../src/ha/node/sessions.js'
import { Ticker } from '../../src/ha/node/ticker.js'
import { encodeMessage } from '../../src/ha/raft/codec.js'
import { command, NodeCluster } from './node-cluster.js'

const run = (session: number, sequence: number, floor = 1) =>
  ({ kind: 'run', session, sequence, floor, body: Buffer.from('x') }) as const

test('a command that comes again has no second effect and the same answer, also after a snapshot', async () => {
  const sessions = new Sessions(sessionDefaults)
  sessions.open(5)
  const first = sessions.apply(run(5, 1), 6, () => Buffer.from('done'))
  const again = sessions.apply(run(5, 1), 9, () => assert.fail('applied twice'))
  assert.deepEqual(again, first)
  const out = new ByteWriter()
  sessions.write(out)
  const copy = new Sessions(sessionDefaults)
  copy.read(new ByteReader(out.done()))
  const third = copy.apply(run(5, 1), 10, () => assert.fail('applied twice'))
  assert(third.kind === 'applied' && third.index === 6)
  assert.equal(Buffer.from(third.result).toString(), 'done')
})

test('what its proposer has given up is not applied any more', async () => {
  const sessions = new Sessions(sessionDefaults)
  sessions.open(1)
  sessions.apply(run(1, 3, 3), 2, () => Buffer.alloc(0))
  assert.equal(sessions.apply(run(1, 2, 1), 3, () => assert.fail('applied')).kind, 'closed')
})

test('sessions have limits: number, idle entries, span', async () => {
  const sessions = new Sessions({ maxSessions: 2, idleEntries: 100, maxSpan: 4 })
  const apply = (session: number, sequence: number, index: number): string =>
    sessions.apply(run(session, sequence), index, () => Buffer.alloc(0)).kind
  sessions.open(1)
  sessions.open(2)
  assert.equal(apply(1, 1, 3), 'applied')
  sessions.open(4)
  assert.equal(apply(2, 1, 5), 'expired')
  assert.equal(apply(1, 2, 6), 'applied')
  assert.equal(apply(4, 1, 104), 'applied')
  assert.equal(apply(1, 3, 106), 'applied')
  assert.equal(apply(1, 4, 206), 'applied')
  assert.equal(apply(4, 2, 207), 'expired')
  assert.equal(apply(1, 1 + 4, 208), 'applied')
  assert.equal(apply(1, 1, 209), 'closed')
  assert.equal(apply(1, 2, 210), 'applied')
})

test('commands and items between nodes come back as they were; nonsense is named', async () => {
  const large = Number.MAX_SAFE_INTEGER
  assert.deepEqual(decodeCommand(encodeOpening(large)), { kind: 'open', token: large })
  const { body, ...head } = decodeCommand(encodeCommand(large, 2 ** 40 + 7, 3, Buffer.from('abc'))) as never as {
    body: Uint8Array
  }
  assert.deepEqual(head, { kind: 'run', session: large, sequence: 2 ** 40 + 7, floor: 3 })
  assert.equal(Buffer.from(body).toString(), 'abc')
  const items = [
    { kind: 'forward', group: 3, commands: [Buffer.from('a'), Buffer.alloc(300)] },
    { kind: 'refused', group: 1, reason: 'overloaded', session: large, sequences: [1, large] },
    { kind: 'ask', group: 1, id: 9, body: '{}' },
    { kind: 'told', group: 1, id: 9, body: '"done"' },
  ] as const
  const frame = Buffer.concat(encodeFrame(items.map(encodeItem)))
  assert.deepEqual(decodeFrame(frame).map(decodeItem), items)
  for (let length = 0; length < frame.length; length++) {
    assert.throws(() => decodeFrame(frame.subarray(0, length)).map(decodeItem), { code: 'core.ha.bad-message' })
  }
  for (const bytes of [[], [3], [1, 0], [2, 0]]) {
    assert.throws(() => decodeCommand(Uint8Array.from(bytes)), { code: 'core.ha.bad-message' })
  }
})

test('an append for a second follower is as if it had been encoded for it', async () => {
  const encoder = new AppendEncoder(7)
  const entry = { index: 3, term: 2, kind: 'command', data: Buffer.from('x') } as const
  const append = { type: 'append', from: 1, term: 2, prevIndex: 2, prevTerm: 2, entries: [entry], commit: 2 } as const
  for (const message of [
    { ...append, to: 2 },
    { ...append, to: 3 },
    { ...append, to: 3, commit: 3 },
    { ...append, to: 2, entries: [{ ...entry, data: Buffer.alloc(0) }] },
  ]) {
    assert.deepEqual(encoder.encode(message), encodeMessage(7, message))
  }
})

test('ticks follow the clock; what this process slept is no silence of the others', async () => {
  const clock = new ManualClock(0)
  // A machine whose timers fire late: the real time, and what the timers think.
  let stalled = 0
  const late = { ...clock, now: () => 0, monotonic: () => clock.monotonic() + stalled, after: clock.after.bind(clock) }
  const sums = { exact: 0, patient: 0 }
  const ticker = new Ticker({
    clock: late,
    tickMs: 50,
    electionTicks: 10,
    onTick: ({ exact, patient }) => {
      sums.exact += exact
      sums.patient += patient
    },
  })
  await clock.pass(1_000)
  assert.deepEqual(sums, { exact: 20, patient: 20 })
  stalled += 2_000
  await clock.pass(50)
  assert.equal(sums.exact, 61)
  assert(sums.patient <= 22, `${sums.patient} ticks`)
  assert(ticker.effectiveTickMs > 500, `${ticker.effectiveTickMs} ms`)
  await clock.pass(5_000)
  assert(ticker.effectiveTickMs < 60, `${ticker.effectiveTickMs} ms`)
  ticker.stop()
})

test('with leases, reads by lease ask nobody, and linearizable ones do', async () => {
  const cluster = await NodeCluster.open({ group: { raft: { reads: 'lease' } } })
  const leader = await cluster.leader()
  const { replica } = cluster.at(leader)
  await cluster.wait(cluster.propose(leader, { key: 'a', put: 1 }))
  await cluster.clock.pass(300)
  for (const id of cluster.members.keys()) if (id !== leader) cluster.hub.cut(leader, id)
  await cluster.wait(replica.read('lease'))
  const short = { deadline: cluster.clock.now() + 100 }
  await assert.rejects(cluster.wait(replica.read('linearizable', short)), { code: 'core.ha.unavailable' })
  await cluster.close()
})

test('a node killed between a received snapshot and its place in the log goes on from the snapshot', async () => {
  const cluster = await NodeCluster.open({ limits: { snapshotEntries: 50, keepEntries: 5 } })
  const leader = await cluster.leader()
  const slow = await cluster.follower()
  // It has a snapshot of its own.
  for (let round = 0; round < 100; round++) await cluster.wait(cluster.propose(slow, { key: 'b', add: 1 }))
  await cluster.kill(slow)
  for (let round = 0; round < 200; round++) await cluster.wait(cluster.propose(leader, { key: 'a', add: 1 }))
  const { storage } = await cluster.start(slow)
  const append = storage.append.bind(storage)
  let reached = false
  storage.append = (group, work, done) => {
    reached ||= work.snapshot !== undefined
    if (!reached) append(group, work, done)
  }
  await cluster.until('the snapshot has arrived', () => reached)
  await cluster.kill(slow)
  const again = await cluster.start(slow)
  await cluster.wait(again.replica.read())
  assert.equal(again.machine.values.get('a'), 200)
  await cluster.wait(again.replica.propose(command({ key: 'a', add: 1 })))
  assert.equal(again.machine.values.get('a'), 201)
  await cluster.close()
})

test('bytes that are no frame are passed over, and the node lives', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  const near = cluster.hub.at(await cluster.follower())
  for (const bytes of [[], [9], [1, 1, 0, 0, 0, 255, 0, 0, 0], [1, 1, 0, 0, 0, 1, 0, 0, 0, 200]]) {
    assert(near?.send(leader, [Uint8Array.from(bytes)]))
  }
  const body = Buffer.from('{')
  assert(near?.send(leader, encodeFrame([encodeItem({ kind: 'ask', group: 1, id: 1, body: body.toString() })])))
  await cluster.clock.pass(100)
  await cluster.wait(cluster.propose(leader, { key: 'a', add: 1 }))
  await cluster.close()
})

test('news of commits go with the next entries; a member whose own client waits is told at once', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  const follower = await cluster.follower()
  await cluster.wait(cluster.propose(leader, { key: 'a', add: 1 }))
  await cluster.clock.pass(50)
  let frames = 0
  const network = cluster.hub.at(follower)
  assert(network !== undefined)
  const take = network.take.bind(network)
  network.take = (from, frame) => {
    frames += 1
    take(from, frame)
  }
  // No time passes: without turns of the clock there are no heartbeats either.
  const { replica } = cluster.at(leader)
  for (let round = 0; round < 50; round++) await replica.propose(command({ key: 'a', add: 1 }))
  assert(frames <= 51, `${frames} frames for 50 commands`)
  assert(cluster.at(follower).replica.status.applied < cluster.at(leader).replica.status.applied)
  await cluster.clock.pass(10)
  assert.equal(cluster.at(follower).replica.status.applied, cluster.at(leader).replica.status.applied)
  const before = cluster.clock.monotonic()
  for (let round = 0; round < 10; round++) await cluster.at(follower).replica.propose(command({ key: 'a', add: 1 }))
  assert.equal(cluster.clock.monotonic(), before)
  await cluster.close()
})

test('a connection to the leader that breaks for one follower alone deposes nobody', async () => {
  const cluster = await NodeCluster.open()
  const leader = await cluster.leader()
  const { term } = cluster.at(leader).replica.status
  const follower = await cluster.follower()
  for (let round = 0; round < 10; round++) {
    cluster.hub.cut(leader, follower)
    await cluster.clock.pass(300)
    cluster.hub.heal()
    await cluster.clock.pass(300)
  }
  const { role, term: after } = cluster.at(leader).replica.status
  assert.deepEqual([role, after], ['leader', term])
  assert.equal(cluster.at(follower).replica.status.leader, leader)
  await cluster.close()
})
