import assert from 'node:assert/strict'
import type { Coordination } from './coordination.js'

/** What a driver gives to be put to the test. */
export interface CoordinationFixture extends AsyncDisposable {
  /** Nodes of one group, at least two; the first call on each works. */
  readonly nodes: readonly Coordination[]
  /** Lets time pass on all clocks, in small steps, the way it would. */
  pass(ms: number): Promise<void>
  /** The node's process dies without a word: nothing of it is released. */
  kill(node: Coordination): Promise<void>
  /** Everything stops and comes back with what it remembered; absent where the driver keeps nothing itself. */
  restart?(): Promise<readonly Coordination[]>
}

export type SuiteTest = (name: string, fn: () => Promise<void>) => unknown

export function first(fixture: CoordinationFixture): Coordination {
  return fixture.nodes[0] as Coordination
}

export function two({ nodes }: CoordinationFixture): readonly [Coordination, Coordination] {
  return [nodes[0] as Coordination, nodes[1] as Coordination]
}

/** Lets time pass until the promise has settled, at most two minutes of the fixture's time. */
export async function settle<T>(fixture: CoordinationFixture, promise: PromiseLike<T>): Promise<T> {
  let done = false
  const end = (): void => {
    done = true
  }
  promise.then(end, end)
  await until(fixture, () => done)
  return await promise
}

export async function until(fixture: CoordinationFixture, met: () => boolean): Promise<void> {
  for (let step = 0; step < 2_400; step++) {
    if (met()) return
    await fixture.pass(step < 20 ? 5 : 50)
  }
  throw new assert.AssertionError({ message: 'it did not happen in two minutes' })
}
