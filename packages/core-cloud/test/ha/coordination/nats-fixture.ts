import { type Bucket, type Streams } from '@aaas/core-cloud/bus'
import { type Clock, CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { findTestEngine, type NatsServers, startNats } from '@aaas/testing'
import { test } from 'tap'
import { natsStreams } from '../../../src/bus/nats/nats-bus.js'
import type { Coordination } from '../../../src/ha/coordination.js'
import { type CoordinationFixture, coordinationSuite } from '../../../src/ha/coordination-suite.js'
import { natsKvCoordination } from '../../../src/ha/nats-kv/nats-kv.js'

export const features = { fair: false, keyTtl: false, everyChange: false, keys: true }
export const engine = findTestEngine('nats')
let buckets = 0

/** A node whose way to the bucket can be cut for ever: it is dead, as far as anybody else can tell. */
interface Cuttable {
  readonly streams: Streams
  cut(): void
  /** Calls that hang fail. */
  end(): void
}

function cuttable(streams: Streams): Cuttable {
  let dead = false
  let end = (): void => undefined
  const hanging = new Promise<never>((_, reject) => {
    end = () => reject(new CloudError('core.kernel.stopped', 'the test is over'))
  })
  hanging.catch(() => undefined)
  const guarded = (bucket: Bucket): Bucket =>
    new Proxy(bucket, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => (dead ? hanging : Reflect.apply(value, target, args))
      },
    })
  return {
    streams: { bucket: async config => guarded(await streams.bucket(config)) } as Streams,
    cut: () => {
      dead = true
    },
    end: () => end(),
  }
}

export async function fixtureOn(
  open: () => Promise<Streams>,
  clock: Clock,
  pass: (ms: number) => Promise<void>,
  durability: 'relaxed' | 'replicated',
): Promise<CoordinationFixture> {
  const name = `suite-${++buckets}`
  const opened: AsyncDisposable[] = []
  const cuts = new Map<Coordination, Cuttable>()
  const nodes: Coordination[] = []
  const start = async (node: string): Promise<Coordination> => {
    const streams = await open()
    const cut = cuttable(streams)
    const place = { clock, ids: systemIds(), node, bucket: name, durability, streams: cut.streams, maxBytes: 8_388_608 }
    const coordination = await natsKvCoordination(place)
    opened.push(streams)
    cuts.set(coordination, cut)
    return coordination
  }
  nodes.push(await start('a'), await start('b'))
  return {
    nodes,
    pass,
    kill: async node => cuts.get(node)?.cut(),
    async [Symbol.asyncDispose]() {
      for (const cut of cuts.values()) cut.end()
      for (const node of nodes) await node[Symbol.asyncDispose]()
      for (const streams of opened) await streams[Symbol.asyncDispose]()
    },
  }
}

/** The suite on servers of their own, several promises at a time. */
export function overNats(count: 1 | 3): void {
  test(`in a bucket of ${count} NATS server(s)`, {
    skip: 'skip' in engine ? engine.skip : false,
    timeout: 60_000,
    jobs: 8,
  }, async t => {
    const program = 'path' in engine ? engine.path : ''
    const servers: NatsServers = await startNats({ program, count })
    t.teardown(() => servers[Symbol.asyncDispose]())
    const clock = systemClock({ keepAlive: true })
    const pass = (ms: number): Promise<void> => new Promise(resolve => clock.after(ms, resolve))
    const open = (): Promise<Streams> =>
      natsStreams({
        servers: servers.urls,
        clock: systemClock({ keepAlive: true }),
        ids: systemIds(),
        logger: silentLogger,
      })
    coordinationSuite(
      (name, fn) => t.test(name, { timeout: 30_000, buffered: true }, fn),
      () => fixtureOn(open, clock, pass, count === 1 ? 'relaxed' : 'replicated'),
      features,
    )
  })
}
