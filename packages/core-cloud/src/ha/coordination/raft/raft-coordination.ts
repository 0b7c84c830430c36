import type { Clock } from '../../../kernel/clock.js'
import { silentLogger } from '../../../kernel/logger.js'
import type { Coordination, Holder, KeyChange, KeyEntry, KeyValue, PutOptions } from '../../coordination.js'
import type { ReadLevel, Replica } from '../../replica.js'
import { checkExpect, checkName, checkPut, checkWhole, stopped } from '../checks.js'
import type { Attempt, LeaseDriver, Owned } from '../lease-driver.js'
import { type HoldingOptions, Leases } from '../leases.js'
import { type CoordinationCommand, CoordinationMachine } from './coordination-machine.js'
import { packet } from './packet.js'
import { Timekeeper } from './timekeeper.js'

export interface RaftCoordinationOptions extends HoldingOptions {
  /** A member of a group of its own, whose state machine on this node is `machine`. Both stay the caller's to close. */
  readonly replica: Replica
  readonly machine: CoordinationMachine
  /** Milliseconds between two steps of logical time, 50 to 1_000; default 250. Lifetimes end late by about one or two. */
  readonly stepMs?: number
  /** Milliseconds that a call may take, default 5_000. */
  readonly callMs?: number
}

/**
 * Coordination on our own consensus. Locks are fair, reads are linearizable unless asked for otherwise, watchers see every
 * change. A fencing token is the index in the log of the command that granted it.
 * @throws CloudError `core.ha.invalid-argument`.
 */
export function raftCoordination(options: RaftCoordinationOptions): Coordination {
  const { machine, replica, clock, stepMs = 250, callMs = 5_000 } = options
  checkWhole(stepMs, 'stepMs', { least: 50, most: 1_000 })
  checkWhole(callMs, 'callMs', { least: 100, most: 600_000 })
  const group: Group = { machine, replica, clock, callMs, closing: new AbortController() }
  const leases = new Leases(driverOn(group), options)
  const logger = (options.logger ?? silentLogger).child({ component: 'coordination' })
  const timekeeper = new Timekeeper({ clock, logger, replica, machine, everyMs: stepMs })
  return {
    driver: 'raft',
    features: { fair: true, keyTtl: true, everyChange: true },
    lease: (name, how) => leases.lease(name, how),
    lock: (name, how) => leases.lock(name, how),
    elect: (name, how, lead) => leases.elect(name, how, lead),
    holder: name => leases.holder(name),
    holders: (name, how) => leases.holders(name, how),
    keys: keysOn(group),
    async [Symbol.asyncDispose]() {
      await leases[Symbol.asyncDispose]()
      group.closing.abort(stopped())
      timekeeper.close()
    },
  }
}

interface Group {
  readonly machine: CoordinationMachine
  readonly replica: Replica
  readonly clock: Clock
  readonly callMs: number
  readonly closing: AbortController
}

async function propose(
  group: Group,
  command: CoordinationCommand,
  body?: Uint8Array,
  withinMs = Infinity,
): Promise<unknown> {
  if (group.closing.signal.aborted) throw stopped()
  const deadline = group.clock.now() + Math.min(withinMs, group.callMs)
  const { result } = await group.replica.propose(packet(command, body), { deadline })
  return CoordinationMachine.result(result)
}

/** Waits until the own state machine may answer. */
async function settled(group: Group, level: ReadLevel): Promise<CoordinationMachine> {
  if (group.closing.signal.aborted) throw stopped()
  if (level !== 'stale') await group.replica.read(level, { deadline: group.clock.now() + group.callMs })
  return group.machine
}

function driverOn(group: Group): LeaseDriver {
  return {
    async acquire(attempt: Attempt) {
      const token = await propose(group, ['acquire', attempt])
      return typeof token === 'number' ? { token } : undefined
    },
    async renew({ name, owner, token }: Owned, ttlMs) {
      return (await propose(group, ['renew', name, owner, token, ttlMs], undefined, ttlMs / 3)) === true
    },
    async release(name, owner) {
      await propose(group, ['release', name, owner])
    },
    async holder(name, fresh): Promise<Holder | undefined> {
      return (await settled(group, fresh ? 'linearizable' : 'stale')).holder(name)
    },
    onChange(name, changed) {
      let token = group.machine.holder(name)?.token
      return group.machine.onApplied(() => {
        const now = group.machine.holder(name)?.token
        if (now === token) return
        token = now
        changed()
      })
    },
  }
}

function keysOn(group: Group): KeyValue {
  return {
    async get(key, { level = 'linearizable' } = {}): Promise<KeyEntry | undefined> {
      checkName(key, 'key')
      return (await settled(group, level)).get(key)
    },
    async put(key, value, options: PutOptions = {}) {
      checkPut(key, value, options)
      return (await propose(group, ['put', key, options.expect ?? null, options.ttlMs ?? null], value)) as number
    },
    async delete(key, options = {}) {
      checkName(key, 'key')
      checkExpect(options.expect)
      return (await propose(group, ['delete', key, options.expect ?? null])) as boolean
    },
    async list(folder) {
      if (folder !== undefined) checkName(folder, 'folder')
      const machine = await settled(group, 'linearizable')
      return { entries: machine.list(folder), revision: machine.applied }
    },
    watch: (folder, options) => watch(group, folder, options),
  }
}

function watch(
  group: Group,
  folder: string | undefined,
  { from, signal }: { readonly from?: number; readonly signal?: AbortSignal } = {},
): AsyncIterable<KeyChange> {
  if (folder !== undefined) checkName(folder, 'folder')
  if (from !== undefined) checkWhole(from, 'from', { least: 0, most: Number.MAX_SAFE_INTEGER })
  // From the call on, not from the first read; and what was acknowledged to somebody else before is not new.
  const start = from === undefined ? settled(group, 'linearizable').then(({ applied }) => applied) : from
  if (typeof start !== 'number') start.catch(() => undefined)
  return changesFrom(group, folder, start, signal)
}

async function* changesFrom(
  { machine, closing }: Group,
  folder: string | undefined,
  start: number | Promise<number>,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyChange, void> {
  let seen = await start
  const ended = (): boolean => signal?.aborted === true
  let wake: () => void = () => undefined
  const ring = (): void => wake()
  const unlisten = machine.onApplied(ring)
  for (const one of [signal, closing.signal]) one?.addEventListener('abort', ring)
  try {
    for (;;) {
      if (closing.signal.aborted) throw stopped()
      if (ended()) return
      const changes = machine.changesAfter(seen, folder)
      for (const change of changes) {
        yield change
        if (ended()) return
      }
      const last = changes.at(-1)
      // Read up to here: what is dropped before that is not missed.
      if (last !== undefined) seen = last.revision
      else {
        seen = Math.max(seen, machine.applied)
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    }
  } finally {
    unlisten()
    for (const one of [signal, closing.signal]) one?.removeEventListener('abort', ring)
  }
}
