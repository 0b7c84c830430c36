import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds, seededRandom } from '@aaas/testing'
import type { SagaAction, SagaDefinition } from '../../src/transaction/saga.js'
import type { SagaStepRow } from '../../src/transaction/saga-core.js'
import { type ClaimedSaga, driveSaga, type SagaDriverEnvironment } from '../../src/transaction/saga-driver.js'

/** Bugs planted on purpose; the checks must see each of them. */
export type PlantedBug = 'none' | 'compensation-forgotten' | 'record-after-run' | 'fence-ignored'

/** What a simulated run came to: the first broken promise, if any. */
export interface SagaVerdict {
  readonly state: string
  readonly broken: string | undefined
  readonly trace: readonly string[]
}

class Crash extends Error {}

/**
 * One saga in a world where nodes crash before and after every write and every call, answers are lost, and a node that
 * lost its lease goes on unknowing. The other side is idempotent by key and has a barrier: what was taken back cannot
 * happen later.
 */
export async function playSaga(seed: number, bug: PlantedBug): Promise<SagaVerdict> {
  const world = new World(seed, bug)
  await world.play()
  return world.verdict()
}

class World {
  readonly #random: () => number
  readonly #bug: PlantedBug
  readonly #clock = new ManualClock()
  readonly #trace: string[] = []
  readonly #definition: SagaDefinition
  readonly #effects = new Map<string, 'there' | 'gone'>()
  readonly #undoCalls = new Map<string, number>()
  readonly #undoOrder: number[] = []
  readonly #rows = new Map<number, SagaStepRow>()
  #state: ClaimedSaga['state'] = 'running'
  #fence = 0
  #held = false
  #troubles = 0
  readonly #dead = new Set<number>()
  #broken: string | undefined

  constructor(seed: number, bug: PlantedBug) {
    this.#random = seededRandom(seed)
    this.#bug = bug
    const count = 1 + Math.floor(this.#random() * 4)
    const committed = this.#random() < 0.2 ? count - 1 : -1
    const steps = Array.from({ length: count }, (_, index) => this.#step(index, index === committed))
    this.#definition = { name: 'simulated', version: 1, steps }
  }

  async play(): Promise<void> {
    for (let round = 0; round < 200 && this.#isOpen(); round++) {
      await this.#turn()
      this.#clock.pass(120_000).catch(() => undefined)
      await this.#clock.pass(0)
    }
  }

  verdict(): SagaVerdict {
    const there = this.#definition.steps.filter(step => this.#effects.get(`s/${step.name}`) === 'there').length
    if (this.#isOpen()) this.#fail('it never ended')
    if (this.#state === 'completed' && there < this.#definition.steps.length)
      this.#fail('completed without all effects')
    if (this.#state === 'compensated' && there > 0) this.#fail('compensated with effects left')
    return { state: this.#state, broken: this.#broken, trace: this.#trace }
  }

  #isOpen(): boolean {
    return this.#state === 'running' || this.#state === 'compensating'
  }

  /** A node takes the saga and goes as far as it gets. */
  async #turn(): Promise<void> {
    this.#fence += 1
    this.#held = true
    const fence = this.#fence
    const claimed: ClaimedSaga = {
      ...{ id: 's', fence, name: 'simulated', version: 1, input: null, state: this.#state },
      ...{ signalCount: 0, failure: null, now: this.#clock.now(), cancelReason: null, idleClaims: 0, signals: [] },
      deadlineAt: this.#clock.now() + 1e12,
      steps: [...this.#rows.values()],
    }
    const never = new AbortController().signal
    const driving = driveSaga(this.#environment(fence), this.#definition, claimed, { lost: never, stopping: never })
    await driving.catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error
      this.#trace.push(`crash of ${fence}`)
    })
  }

  #environment(fence: number): SagaDriverEnvironment {
    return {
      ...{ clock: this.#clock, ids: seededIds(fence), logger: silentLogger, leaseMs: 1_000, maxPayloadBytes: 1_000 },
      record: async (_saga, patch, steps) => {
        this.#mayCrash(fence)
        if ((fence !== this.#fence || !this.#held) && this.#bug !== 'fence-ignored') {
          return { recorded: false, cancel: null }
        }
        this.#state = patch.state ?? this.#state
        for (const row of steps) {
          if (this.#bug === 'compensation-forgotten' && row.state === 'compensated') continue
          if (this.#bug === 'record-after-run' && row.state === 'intended') continue
          this.#rows.set(row.step, row)
          this.#trace.push(`${fence} wrote ${row.name} ${row.state} ${this.#state}`)
        }
        if (patch.release === true) this.#held = false
        this.#mayCrash(fence)
        return { recorded: true, cancel: null }
      },
    }
  }

  #step(index: number, committed: boolean): SagaAction {
    const name = `step${index}`
    return {
      name,
      retry: { attempts: 3 },
      ...(committed ? { onFailure: 'park' as const } : { compensate: context => this.#undo(index, context.key) }),
      run: context => this.#run(index, context.key),
    }
  }

  async #run(index: number, key: string): Promise<unknown> {
    const fence = this.#fence
    const row = this.#rows.get(index)
    if (row?.state !== 'intended') this.#fail(`step ${index} ran while its record said ${row?.state ?? 'nothing'}`)
    if (this.#state !== 'running') this.#fail(`step ${index} ran while the saga was ${this.#state}`)
    this.#trace.push(`${fence} runs ${key}`)
    await this.#trouble(fence)
    const luck = this.#random()
    if (luck < 0.1) throw new CloudError('support.transaction.insufficient', 'refused')
    if (luck < 0.2) throw new Error('lost on the way there')
    if (this.#effects.get(key) === 'gone') throw new CloudError('support.transaction.branch-refused', 'taken back')
    this.#effects.set(key, 'there')
    if (luck < 0.3) throw new Error('lost on the way back')
    await this.#trouble(fence)
    return index
  }

  async #undo(index: number, undoKey: string): Promise<void> {
    const fence = this.#fence
    const key = undoKey.replace(/\/undo$/, '')
    const calls = (this.#undoCalls.get(key) ?? 0) + 1
    this.#undoCalls.set(key, calls)
    this.#trace.push(`${fence} takes back ${key}`)
    if (calls > 1 + this.#troubles)
      this.#fail(`step ${index} was taken back ${calls} times after ${this.#troubles} troubles`)
    if (this.#rows.get(index)?.state !== 'compensating') this.#fail(`step ${index} was taken back without a record`)
    const last = this.#undoOrder.at(-1)
    if (last !== undefined && index > last) this.#fail(`step ${index} was taken back after step ${last}`)
    this.#undoOrder.push(index)
    await this.#trouble(fence)
    if (this.#random() < 0.1) {
      this.#troubles += 1
      throw new Error('lost on the way there')
    }
    this.#effects.set(key, 'gone')
    await this.#trouble(fence)
  }

  /** The node dies here, or loses its lease to another one, which goes as far as it gets, and goes on unknowing. */
  async #trouble(fence: number): Promise<void> {
    this.#mayCrash(fence)
    if (this.#random() < 0.05 && this.#isOpen()) {
      this.#troubles += 1
      this.#trace.push(`${fence} loses its lease`)
      await this.#turn()
    }
  }

  #mayCrash(fence: number): void {
    // A dead node does nothing more, whatever its code would do with an error.
    if (!this.#dead.has(fence) && this.#random() > 0.06) return
    this.#dead.add(fence)
    this.#troubles += 1
    throw new Crash(`node of ${fence}`)
  }

  #fail(what: string): void {
    this.#broken ??= what
  }
}
