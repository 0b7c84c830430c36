import assert from 'node:assert/strict'
import type { Clock } from '../kernel/clock.js'
import type { Delivery, Durability, StreamConfig, StreamMessage, Streams } from './stream.js'

/** What a driver gives the suite for one test. Tests of one run may share a server: every test names its own streams. */
export interface StreamFixture extends AsyncDisposable {
  /** Clock that the server and its clients follow. */
  readonly clock: Clock
  /** Moves that clock; on the machine's clock it waits. */
  passTime(ms: number): Promise<void>
  /** A further client of the same server; the same one again where everything is in one process. The fixture disposes it. */
  connect(): Promise<Streams>
  /**
   * Kills the server without warning (`kill -9`) and starts it again on what it left; resolves when it answers.
   * In one process: opens the data anew without closing what was open; the clients of before are dead then.
   */
  restart?(): Promise<void>
}

/** What a driver can give; promises that need more are left out. */
export interface StreamDriver {
  readonly durabilities: readonly Durability[]
  /**
   * `resume`: clients go on by themselves after {@link StreamFixture.restart}; `reopen`: they must be opened again
   * (everything in one process); `none`: nothing is kept (memory).
   */
  readonly restarts: 'resume' | 'reopen' | 'none'
}

export type SuiteTest = (name: string, fn: () => Promise<void>) => unknown

/** Two clients of one server, and a stream of the test's own. */
export interface StreamEnds extends Omit<StreamFixture, 'restart' | typeof Symbol.asyncDispose> {
  readonly near: Streams
  readonly far: Streams
  readonly driver: StreamDriver
  /** A name that no other test uses; `<name>.>` are its subjects. */
  readonly name: string
  /** Makes the stream {@link StreamEnds.name}. */
  make(config?: Partial<StreamConfig>): Promise<void>
  /** Waits for something, in small steps of the clock, at most a minute of it: the bound is for what never happens. */
  eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void>
  /** Kills the server and starts it again. @returns clients that work: the same ones where they resume. */
  restart(): Promise<{ readonly near: Streams; readonly far: Streams }>
}

/** Adds a test; one that needs a restart is left out where nothing is kept. */
export type OnStreams = (name: string, body: (ends: StreamEnds) => Promise<void>, needs?: 'restart' | 'resume') => void

let names = 0

export function onStreams(test: SuiteTest, open: () => Promise<StreamFixture>, driver: StreamDriver): OnStreams {
  return (title, body, needs) => {
    if (needs !== undefined && driver.restarts === 'none') return
    if (needs === 'resume' && driver.restarts !== 'resume') return
    test(title, async () => {
      await using fixture = await open()
      const near = await fixture.connect()
      const far = await fixture.connect()
      names += 1
      const name = `t${names}`
      const durability = driver.durabilities[0] ?? 'relaxed'
      await body({
        near,
        far,
        driver,
        name,
        clock: fixture.clock,
        passTime: ms => fixture.passTime(ms),
        connect: () => fixture.connect(),
        make: async config => {
          await near.ensure({ name, subjects: [`${name}.>`], durability, ...config })
        },
        eventually: (what, holds) => eventually(fixture, what, holds),
        async restart() {
          assert.ok(fixture.restart !== undefined, 'the fixture can restart')
          await fixture.restart()
          if (driver.restarts === 'resume') return { near, far }
          return { near: await fixture.connect(), far: await fixture.connect() }
        },
      })
    })
  }
}

async function eventually(
  fixture: StreamFixture,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = fixture.clock.now() + 60_000
  while (!(await holds())) {
    if (fixture.clock.now() > end) assert.fail(`not within a minute: ${what}`)
    await fixture.passTime(10)
  }
}

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (
  message: { readonly payload: Uint8Array } | { readonly value: Uint8Array } | undefined,
): string => {
  if (message === undefined) return '(none)'
  return Buffer.from('payload' in message ? message.payload : message.value).toString()
}

/** Publishes one after the other. @returns the sequences. */
export async function put(streams: Streams, subject: string, ...texts: readonly string[]): Promise<number[]> {
  const sequences: number[] = []
  for (const each of texts) sequences.push((await streams.publish(subject, bytes(each))).sequence)
  return sequences
}

/** Notes what a handler sees; `hold` keeps the messages: they are to be settled by hand. */
export function recorder(options: { readonly hold?: boolean } = {}): {
  readonly seen: Delivery[]
  readonly texts: () => string[]
  readonly handler: (delivery: Delivery) => Promise<void>
  /** Lets every handler that waits resolve, and later ones at once. */
  readonly release: () => void
} {
  const seen: Delivery[] = []
  let release: () => void = () => undefined
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  return {
    seen,
    texts: () => seen.map(text),
    handler: async delivery => {
      seen.push(delivery)
      if (options.hold === true) await released
    },
    release,
  }
}

/** The fields of a stored message, to compare. */
export function shown(message: StreamMessage | undefined): unknown {
  if (message === undefined) return undefined
  const { stream, sequence, subject, headers, messageId } = message
  return { stream, sequence, subject, text: text(message), headers: { ...headers }, messageId }
}
