import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import type { SagaAction, SagaDefinition, Sagas, SagaView, SagaWorker } from './saga.js'

/** What a driver gives the suite: sagas on an empty store whose time stands still until it is passed. */
export interface SagaFixture extends AsyncDisposable {
  /** Another node on the same store. Lease 1_000 ms, poll 100 ms, payloads of 1_000 bytes, undefined after 5_000 ms. */
  node(...definitions: SagaDefinition[]): Sagas
  readonly database: Database
  pass(ms: number): Promise<void>
  now(): number
}

export type SagaScenario = (name: string, run: (fixture: SagaFixture) => Promise<void>) => void

export const operator = { actor: 'ann', reason: 'because' }
export const refusal = (): CloudError => new CloudError('support.transaction.insufficient', 'no money')

/** Steps that write down what they do. */
export class Diary {
  readonly lines: string[] = []

  step(name: string, more: Partial<SagaAction> = {}): SagaAction {
    return {
      name,
      run: async ({ attempt }) => {
        this.lines.push(`${name}${attempt > 1 ? attempt : ''}`)
        return `${name} done`
      },
      compensate: async ({ outcome }) => {
        this.lines.push(`-${name}${outcome === 'unknown' ? '?' : ''}`)
      },
      ...more,
    }
  }

  failing(name: string, error: () => Error, more: Partial<SagaAction> = {}): SagaAction {
    return this.step(name, {
      run: async () => {
        this.lines.push(`${name}!`)
        throw error()
      },
      ...more,
    })
  }
}

export const define = (steps: SagaDefinition['steps'], more: Partial<SagaDefinition> = {}): SagaDefinition => ({
  name: 'trip',
  version: 1,
  steps,
  ...more,
})

/** Starts, works until nothing can be done, and gives what it came to. */
export async function play(
  fixture: SagaFixture,
  definition: SagaDefinition,
  passMs: readonly number[] = [],
): Promise<{ view: SagaView; sagas: Sagas; worker: SagaWorker }> {
  const sagas = fixture.node(definition)
  await sagas.start({ id: 's', name: definition.name, input: { n: 1 } })
  const worker = sagas.work()
  await worker.idle()
  for (const ms of passMs) {
    await fixture.pass(ms)
    await worker.idle()
  }
  const view = await sagas.get('s')
  assert.ok(view !== undefined)
  return { view, sagas, worker }
}

export const states = (view: SagaView): readonly string[] => view.steps.map(step => `${step.name} ${step.state}`)

/** Waits for what another connection does. */
export async function until({ database }: SagaFixture, probe: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5_000; turn++) {
    if (await probe()) return
    await database.query({ text: 'select 1' })
  }
  assert.fail('it never happened')
}
