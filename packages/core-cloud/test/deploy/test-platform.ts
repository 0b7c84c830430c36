import { EventEmitter } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bus, type BusHub, listenBus } from '@aaas/core-cloud/bus'
import { buildPackage, generateSigningKeys, type PackageRef, signPackage } from '@aaas/core-cloud/cloudware'
import { busClient, type Client, type Handlers, serveContract } from '@aaas/core-cloud/contract'
import { createLogger, formatLogRecord, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { createEdge } from '@aaas/core-cloud/load-balancer'
import type { Reading } from '@aaas/core-cloud/metering'
import {
  controlPlaneContract,
  controlPrefix,
  type DesiredSite,
  type DesiredState,
  desiredChangedSubject,
  type HostHandle,
  type HostOptions,
  hostAgentContract,
  hostPrefix,
  type ObservedSite,
  packageChunkBytes,
  startHost,
} from '../../src/deploy/index.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const logger =
  process.env.AAAS_TEST_LOG === undefined
    ? silentLogger
    : createLogger({
        now: () => Date.now(),
        level: 'debug',
        write: record => process.stderr.write(`${formatLogRecord(record)}\n`),
      })

/** What the sample program does. */
export interface SampleConfig {
  readonly mode?: 'good' | 'never-healthy' | 'throws' | 'release-fails' | 'hangs-at-drain'
}

const sampleProgram = `
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineContract, serveContract } from '@aaas/core-cloud/contract'

const text = { type: 'string' }
const echo = defineContract({
  name: 'sample.echo',
  version: '1.0.0',
  methods: { say: { summary: 'Says it back.', input: { type: 'object', required: ['text'], properties: { text } }, output: { type: 'object', properties: { text, actor: text } } } },
})

export const program = {
  async release({ dataDir, config, logger }) {
    appendFileSync(join(dataDir, 'releases'), 'released\\n')
    logger.info('migrating')
    if (config.mode === 'release-fails') throw new Error('cannot migrate')
  },
  async start({ bus, busPrefix, clock, config, logger, instanceId, version }) {
    logger.info('sample starts', { version })
    console.log('a plain line')
    if (config.mode === 'throws') throw new Error('boom at start')
    const served = await serveContract({
      bus, contract: echo, prefix: busPrefix, queue: 'all', clock, logger,
      handlers: { say: async ({ text }, context) => ({ text: text + '!', actor: context.actor?.id ?? 'nobody' }) },
    })
    return {
      handler(request, response) {
        const answer = () => {
          response.setHeader('content-type', 'application/json')
          response.end(JSON.stringify({ version, instance: instanceId, pid: process.pid, url: request.url }))
        }
        const slow = /slow=(\\d+)/.exec(request.url)
        if (slow === null) answer()
        else clock.after(Number(slow[1]), answer)
      },
      async health() {
        if (config.mode === 'never-healthy') throw new Error('not today')
      },
      async drain() {
        logger.info('sample drains')
        if (config.mode === 'hangs-at-drain') await new Promise(() => undefined)
        await served.drain()
      },
      async [Symbol.asyncDispose]() {},
    }
  },
}
`

/** For {@link TestPlatform.seen}: everything wanted by this generation is there. */
export function live(generation: number): (site: ObservedSite) => boolean {
  return site => site.phase === 'live' && site.observedGeneration === generation
}

/** A control plane in memory and a real host with real processes. */
export class TestPlatform implements AsyncDisposable {
  readonly home: string
  readonly readings: Reading[] = []
  host: HostHandle | undefined
  #hub: BusHub | undefined
  #bus: Bus | undefined
  readonly #keys = generateSigningKeys()
  readonly #packages = new Map<string, { tarball: Uint8Array; signature: unknown }>()
  readonly #reports = new EventEmitter().setMaxListeners(50)
  #state: DesiredState
  #observed: readonly ObservedSite[] = []

  private constructor(home: string) {
    this.home = home
    this.#state = { generation: 1, sites: [], trust: { test: this.#keys.publicKeyPem } }
  }

  static async open(): Promise<TestPlatform> {
    const platform = new TestPlatform(await mkdtemp(join(tmpdir(), 'aaas-host-')))
    await mkdir(join(platform.home, 'run'))
    await platform.startControl()
    return platform
  }

  get controlSocket(): string {
    return join(this.home, 'run', 'control.sock')
  }

  async startControl(): Promise<void> {
    const identity = {
      name: 'h1',
      kind: 'host',
      publish: ['control.>'],
      subscribe: ['host.h1.>', 'control.desired-changed'],
    }
    this.#hub = await listenBus({
      socketPath: this.controlSocket,
      clock,
      logger,
      authenticate: token => (token === 'secret' ? identity : undefined),
    })
    this.#bus = this.#hub.bus({ name: 'control', kind: 'control', publish: ['>'], subscribe: ['>'] })
    await serveContract({
      bus: this.#bus,
      contract: controlPlaneContract,
      handlers: this.#handlers(),
      prefix: controlPrefix,
      clock,
      logger,
    })
  }

  async stopControl(): Promise<void> {
    await this.#hub?.[Symbol.asyncDispose]()
    this.#hub = undefined
  }

  async startHost(change: Partial<HostOptions> = {}): Promise<HostHandle> {
    this.host = await startHost({
      home: this.home,
      hostId: 'h1',
      controlSocket: this.controlSocket,
      controlToken: 'secret',
      edgePort: 0,
      environment: { PATH: process.env.PATH },
      clock,
      ids,
      logger,
      createEdge,
      ...change,
    })
    return this.host
  }

  async stopHost(): Promise<void> {
    await this.host?.[Symbol.asyncDispose]()
    this.host = undefined
  }

  /** Builds and signs the sample program as a package of this version. */
  async publish(
    version: string,
    source = sampleProgram,
    change: { name?: string; kind?: string; hooks?: object[] } = {},
  ): Promise<PackageRef> {
    const dir = await mkdtemp(join(this.home, 'build-'))
    const { name = 'sample', kind = 'site', hooks } = change
    const manifest = { kind, engine: '*', entry: 'main.mjs', ...(hooks === undefined ? {} : { hooks }) }
    await writeFile(join(dir, 'package.json'), JSON.stringify({ name, version, type: 'module', aaas: manifest }))
    await writeFile(join(dir, 'main.mjs'), source)
    const { ref, tarball } = await buildPackage({ dir })
    const signature = signPackage({ tarball, publisher: 'test', privateKeyPem: this.#keys.privateKeyPem })
    this.#packages.set(ref.digest, { tarball, signature })
    return ref
  }

  site(ref: PackageRef, change: Partial<DesiredSite> & { config?: SampleConfig } = {}): DesiredSite {
    return {
      site: 'shop',
      kind: 'site',
      generation: 1,
      version: 1,
      package: ref,
      config: {},
      databaseUrl: 'postgres://localhost/none',
      hostNames: ['shop.localhost'],
      instances: 2,
      concurrency: 100,
      maintenance: false,
      restart: 0,
      cloudware: [],
      healthyDeadlineMs: 60_000,
      ...change,
    }
  }

  async want(...sites: readonly DesiredSite[]): Promise<void> {
    this.#state = { ...this.#state, generation: this.#state.generation + 1, sites }
    if (this.#hub !== undefined) await this.#bus?.publish(desiredChangedSubject, new Uint8Array())
  }

  /** Resolves with the site once a report of it fits. */
  async seen(what: string, fits: (site: ObservedSite) => boolean, ms = 60_000): Promise<ObservedSite> {
    return await this.report(what, sites => sites.find(fits), ms)
  }

  async report<T>(what: string, pick: (sites: readonly ObservedSite[]) => T | undefined, ms = 60_000): Promise<T> {
    return await new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pick(this.#observed)
        if (found === undefined) return
        cancel()
        this.#reports.off('report', look)
        resolve(found)
      }
      const cancel = clock.after(ms, () => {
        this.#reports.off('report', look)
        reject(new Error(`not seen in ${ms} ms: ${what}; last report ${JSON.stringify(this.#observed)}`))
      })
      this.#reports.on('report', look)
      look()
    })
  }

  async agent(): Promise<Client<typeof hostAgentContract>> {
    if (this.#bus === undefined) throw new Error('control is not running')
    return busClient({ bus: this.#bus, contract: hostAgentContract, prefix: hostPrefix('h1'), clock, ids })
  }

  async get(
    path: string,
  ): Promise<{ status: number; body: { version: number; instance: string; pid: number; url: string } }> {
    const response = await fetch(`http://127.0.0.1:${this.host?.edgePort}/s/shop${path}`)
    return {
      status: response.status,
      body: response.ok ? ((await response.json()) as never) : ((await response.text(), {}) as never),
    }
  }

  /** What the host answers at `/metrics`. */
  async metrics(authorization: string): Promise<{ status: number; text: string }> {
    const headers = { authorization }
    const response = await fetch(`http://127.0.0.1:${this.host?.metricsPort}/metrics`, { headers })
    return { status: response.status, text: await response.text() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopHost()
    await this.stopControl()
    await rm(this.home, { recursive: true, force: true })
  }

  #handlers(): Handlers<typeof controlPlaneContract> {
    return {
      desiredState: async ({ knownGeneration }) =>
        knownGeneration === this.#state.generation ? { changed: false } : { changed: true, state: this.#state },
      report: async ({ sites }) => {
        this.#observed = sites
        this.#reports.emit('report')
        return {}
      },
      packageChunk: async ({ digest, offset }) => {
        const found = this.#packages.get(digest)
        if (found === undefined) throw new Error('no such package')
        const { tarball, signature } = found
        const bytes = tarball.subarray(offset, offset + packageChunkBytes)
        return { base64: Buffer.from(bytes).toString('base64'), total: tarball.length, signature }
      },
      readings: async ({ readings }) => {
        this.readings.push(...readings)
        return {}
      },
    }
  }
}
