import { type Clock, CloudError, type Ids, type Logger, sleep } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '../rdbms/database.js'
import { bodyHash } from './idempotency.js'
import { type LeasedItem, LeaseWorker } from './lease-worker.js'
import type { SagaDefinition, SagaStart, Sagas, SagaView, SagaWorker } from './saga.js'
import { sagaDefaults } from './saga-core.js'
import { SagaDefinitions } from './saga-definitions.js'
import { type ClaimedSaga, driveSaga, type SagaDriverEnvironment } from './saga-driver.js'
import { cancelSaga, forceSaga, type OperatorEnvironment, retrySaga, unknownSaga } from './saga-operator.js'
import { checkName, storable } from './saga-record.js'
import { auditOf, listSagas, readSaga } from './saga-view.js'

export interface PgSagasOptions {
  /** Needs `transactionMigrations`. A worker uses one connection at a time and holds none while steps run. */
  readonly database: Database
  readonly clock: Clock
  readonly ids: Pick<Ids, 'token' | 'random'>
  readonly logger: Logger
  /** More can be added by `define`. */
  readonly definitions?: readonly SagaDefinition[]
  /** Sagas under way in this process at a time, default 16. */
  readonly concurrency?: number
  /** Milliseconds after which another node takes over from one that died, default 15_000. */
  readonly leaseMs?: number
  /** Milliseconds between looks while nothing happens, default 500. */
  readonly pollMs?: number
  /** Milliseconds that disposing a worker waits for running steps, default 10_000. */
  readonly drainMs?: number
  /** Bytes of an input, output or signal as JSON, default 65_536. */
  readonly maxPayloadBytes?: number
  /** Milliseconds that a saga may be due before it is parked for want of a definition, default 60_000. */
  readonly undefinedMs?: number
  /**
   * Whose time leases and pauses are counted by: default that of the database's server, which all nodes share. `clock`
   * is for tests with a manual clock.
   */
  readonly time?: 'database' | 'clock'
}

/** Sagas on PostgreSQL. Nothing is executed before `work`. */
export function pgSagas(options: PgSagasOptions): Sagas {
  const defaults = { leaseMs: 15_000, pollMs: 500, drainMs: 10_000, concurrency: 16, undefinedMs: 60_000 }
  return new PgSagas({ maxPayloadBytes: 65_536, time: 'database', definitions: [], ...defaults, ...options })
}

class PgSagas implements Sagas {
  readonly #options: Required<PgSagasOptions>
  readonly #definitions = new SagaDefinitions()
  readonly #operator: OperatorEnvironment

  constructor(options: Required<PgSagasOptions>) {
    this.#options = options
    const { database, maxPayloadBytes } = options
    this.#operator = { database, maxPayloadBytes, now: () => this.#now() }
    for (const definition of options.definitions) this.#definitions.add(definition)
  }

  define(definition: SagaDefinition): void {
    this.#definitions.add(definition)
  }

  async start(start: SagaStart, tx: Queryable = this.#options.database): Promise<boolean> {
    const { id } = start
    checkName('id', id, 200)
    const { name, version, timeoutMs = sagaDefaults.sagaMs } = this.#definitions.get(start.name, start.version)
    const input = storable('input', start.input, this.#options.maxPayloadBytes)
    // The version is not part of the content: a repeat after an upgrade finds what was started before it.
    const hash = bodyHash({ name, input })
    const made = await tx.query({
      name: 'aaas_saga_start',
      text: `insert into aaas_saga (id, name, version, input, body_hash, started_at, changed_at, due_at, deadline_at)
        select $1, $2, $3, $4, $5, t, t, t, t + $6 * interval '1 ms' from aaas_at($7) t
        on conflict (id) do nothing returning id`,
      values: [id, name, version, JSON.stringify(input), hash, timeoutMs, this.#now()],
    })
    if (made.length > 0) return true
    const text = 'select body_hash as hash from aaas_saga where id = $1'
    const [known] = await tx.query<{ hash: string }>({ text, values: [id] })
    if (known?.hash === hash) return false
    throw new CloudError('support.transaction.conflict', `saga ${id} was started with another content`)
  }

  async signal(
    id: string,
    signal: { readonly name: string; readonly payload?: unknown; readonly signalId: string },
    tx: Queryable = this.#options.database,
  ): Promise<void> {
    checkName('name', signal.name, 100)
    checkName('signalId', signal.signalId, 200)
    const payload = storable('payload', signal.payload, this.#options.maxPayloadBytes)
    const [row] = await tx.query<{ answer: string }>({
      name: 'aaas_saga_signal',
      text: 'select aaas_saga_signal($1, $2, $3, $4, $5) as answer',
      values: [id, signal.signalId, signal.name, JSON.stringify(payload), this.#now()],
    })
    if (row?.answer === 'unknown') throw unknownSaga(id)
    if (row?.answer === 'given') return
    const why = row?.answer === 'full' ? 'has 100 signals that wait' : 'has ended'
    throw new CloudError('support.transaction.wrong-state', `saga ${id} ${why}`)
  }

  cancel(id: string, operator: Parameters<Sagas['cancel']>[1]): Promise<void> {
    return cancelSaga(this.#operator, id, operator)
  }

  get(id: string): Promise<SagaView | undefined> {
    return readSaga(this.#options.database, id)
  }

  async ended(id: string, options: { readonly deadline: number; readonly signal?: AbortSignal }): Promise<SagaView> {
    const { clock } = this.#options
    for (let pause = 10; ; pause = Math.min(250, pause * 1.5)) {
      const view = await this.get(id)
      if (view === undefined) throw unknownSaga(id)
      if (view.state !== 'running' && view.state !== 'compensating') return view
      if (clock.now() >= options.deadline) {
        throw new CloudError('core.contract.deadline-exceeded', `saga ${id} is still ${view.state}`)
      }
      await sleep(clock, Math.max(1, Math.min(pause, options.deadline - clock.now())), options.signal)
    }
  }

  async list(options: Parameters<Sagas['list']>[0] = {}) {
    const { limit = 100, after = 0 } = options
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
      throw new CloudError('core.contract.invalid-input', 'limit must be 1 to 1000', { field: 'limit' })
    }
    return listSagas(this.#options.database, { ...options, after, limit })
  }

  retry(id: string, operator: Parameters<Sagas['retry']>[1]): Promise<void> {
    return retrySaga(this.#operator, id, operator)
  }

  async force(...[id, force, operator]: Parameters<Sagas['force']>): Promise<void> {
    await forceSaga(this.#operator, id, force, operator)
  }

  audit(id: string) {
    return auditOf(this.#options.database, id)
  }

  async forget(options: { readonly before: number; readonly limit?: number }): Promise<number> {
    const rows = await this.#options.database.query({
      text: `delete from aaas_saga where id in (select id from aaas_saga where state in ('completed', 'compensated')
        and changed_at < to_timestamp($1 / 1000.0) order by position limit $2 for update skip locked) returning 1 as one`,
      values: [options.before, options.limit ?? 1000],
    })
    return rows.length
  }

  work(): SagaWorker {
    const { clock, logger, concurrency, leaseMs, pollMs, drainMs, ids } = this.#options
    const owner = ids.token(10)
    return new LeaseWorker<ClaimedSaga>({
      ...{ name: 'sagas', clock, logger, concurrency, leaseMs, pollMs, drainMs },
      queue: {
        claim: limit => this.#claim(owner, limit),
        renew: items => this.#renew(items),
        work: (saga, lost, stopping) => this.#drive(saga, lost, stopping),
      },
    })
  }

  async #claim(owner: string, limit: number): Promise<readonly ClaimedSaga[]> {
    const { database, leaseMs } = this.#options
    const { names, versions } = this.#definitions.pairs()
    const rows = await database.query<{ saga: ClaimedSaga }>({
      name: 'aaas_saga_claim',
      text: 'select aaas_saga_claim($1, $2, $3, $4, $5, $6) as saga',
      values: [owner, names, versions, limit, leaseMs, this.#now()],
    })
    if (rows.length < limit) await this.#parkUndefined(names, versions)
    return rows.map(row => row.saga)
  }

  /** Sagas whose definition no node knows: each node that does would have taken them long ago. */
  async #parkUndefined(names: readonly string[], versions: readonly number[]): Promise<void> {
    await this.#options.database.query({
      name: 'aaas_saga_undefined',
      text: `update aaas_saga set parked_from = state, state = 'parked', parked_code = 'no-definition', owner = null,
          parked_reason = 'no worker knows ' || name || '@' || version, changed_at = aaas_at($4)
        where id in (select id from aaas_saga s where state in ('running', 'compensating')
          and due_at < aaas_at($4) - $3 * interval '1 ms'
          and not exists (select from unnest($1::text[], $2::int[]) k(name, version)
            where (k.name, k.version) = (s.name, s.version))
          order by due_at limit 100 for update skip locked)`,
      values: [names, versions, this.#options.undefinedMs, this.#now()],
    })
  }

  async #renew(items: readonly LeasedItem[]): Promise<readonly string[]> {
    const rows = await this.#options.database.query<{ id: string }>({
      name: 'aaas_saga_renew',
      text: `update aaas_saga s set due_at = aaas_at($4) + $3 * interval '1 ms'
        from unnest($1::text[], $2::bigint[]) as held(id, fence)
        where s.id = held.id and s.fence = held.fence and s.owner is not null returning s.id`,
      values: [items.map(item => item.id), items.map(item => item.fence), this.#options.leaseMs, this.#now()],
    })
    return rows.map(row => row.id)
  }

  async #drive(saga: ClaimedSaga, lost: AbortSignal, stopping: AbortSignal): Promise<number | undefined> {
    const { clock, ids, logger, leaseMs, maxPayloadBytes, database } = this.#options
    const env: SagaDriverEnvironment = {
      ...{ clock, ids, logger, leaseMs, maxPayloadBytes },
      record: async (held, patch, steps) => {
        const [row] = await database.query<{ recorded: boolean; cancel: string | null }>({
          name: 'aaas_saga_record',
          text: 'select recorded, cancel from aaas_saga_record($1, $2, $3, $4, $5)',
          values: [held.id, held.fence, this.#now(), JSON.stringify(patch), JSON.stringify(steps)],
        })
        return row ?? { recorded: false, cancel: null }
      },
    }
    const definition = this.#definitions.get(saga.name, saga.version)
    return driveSaga(env, definition, saga, { lost, stopping })
  }

  #now(): number | null {
    return this.#options.time === 'clock' ? this.#options.clock.now() : null
  }
}
