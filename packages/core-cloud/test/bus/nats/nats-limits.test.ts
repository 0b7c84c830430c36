import { spawnSync } from 'node:child_process'
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { test } from 'tap'
import { busOf, bytes, clock, serversOf, skipNats, soon, text } from '../fixture/nats-bus.js'
import { connectStreams, natsServers } from '../fixture/nats-streams.js'
import { start, stop } from '../fixture/processes.js'
import { until } from '../fixture/until.js'

test('a disk that fills while the server writes: what was acknowledged stays', { skip: skipNats }, async t => {
  const servers = await natsServers(t)
  const node = servers.nodes[0]!
  const disk = `${servers.folder}/0`
  await node.kill()
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status !== 0) {
    t.comment('no right to mount a small disk here')
    return
  }
  t.teardown(async () => {
    await node.kill()
    spawnSync('umount', ['-l', disk])
  })
  writeFileSync(`${disk}/ballast`, Buffer.alloc(1_000_000))
  await node.start()
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  await streams.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  const seen = new Set<number>()
  await streams.consume('s', { name: 'c' }, ({ sequence }) => void seen.add(sequence))
  const acknowledged: number[] = []
  const store = async (index: number, ms: number): Promise<string | undefined> => {
    const options = { messageId: `m${index}`, deadline: clock.now() + ms }
    try {
      acknowledged.push((await streams.publish('s', Buffer.alloc(20_000, index), options)).sequence)
      return undefined
    } catch (error) {
      return (error as { code?: string }).code
    }
  }
  let failure: string | undefined
  for (let index = 0; failure === undefined && index < 1_000; index++) failure = await store(index, 1_500)
  // The server says nothing any more: whether the last message is there is not known.
  t.ok(['core.contract.deadline-exceeded', 'core.bus.stream-full', 'core.bus.disconnected'].includes(failure ?? ''))
  t.ok(acknowledged.length > 50, `${acknowledged.length} were acknowledged`)
  // Room alone does not wake a server of this version up.
  unlinkSync(`${disk}/ballast`)
  await node.kill()
  await node.start()
  t.equal(await store(acknowledged.length, 20_000), undefined, 'the same message, again, by the same client')
  t.same(
    acknowledged,
    Array.from(acknowledged, (_, index) => index + 1),
    'none is missing, none is there twice',
  )
  await until(() => seen.size === acknowledged.length)
})

test('a peer that stops reading is cut off by the server, and is back when it reads', { skip: skipNats }, async t => {
  const servers = await serversOf(t, { config: 'max_pending: 1MB' })
  const near = await busOf(t, servers)
  const other = await busOf(t, servers)
  await other.subscribe('other', message => message.respond?.(message.payload))
  const child = await start('nats-listener.js', servers.urls[0]!)
  t.teardown(() => stop(child))
  const heard = async (): Promise<number> => Number(text(await near.request('alive', bytes(''), { deadline: soon() })))
  t.equal(await heard(), 0)
  child.kill('SIGSTOP')
  const log = (): string => readFileSync(`${servers.folder}/0.log`, 'utf8')
  let sent = 0
  await until(async () => {
    await Promise.all(Array.from({ length: 20 }, () => near.publish('slow', Buffer.alloc(50_000))))
    sent += 20
    return log().includes('Slow Consumer')
  })
  t.equal(text(await near.request('other', bytes('x'), { deadline: soon() })), 'x', 'the others do not notice')
  await t.rejects(near.request('alive', bytes(''), { deadline: soon() }), { code: 'core.bus.no-responder' })
  child.kill('SIGCONT')
  await until(() =>
    heard().then(
      () => true,
      () => false,
    ),
  )
  t.ok((await heard()) < sent, 'what was published meanwhile is gone: at most once')
})
