import { checkLinearizable, type HistoryCall, type SequentialModel } from '@aaas/testing'
import { encode, type Output } from './register.js'
import type { SimNode, World } from './sim-node.js'

type Input =
  | { readonly kind: 'put'; readonly value: number }
  | { readonly kind: 'cas'; readonly expected: number | undefined; readonly value: number }
  | { readonly kind: 'get' }

type Call = HistoryCall<Input, Output> & { readonly key: string }

const patienceMs = 400

/** Clients that write and read registers through whatever node they think leads, one call after the other each. */
export class RaftClients {
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #random: () => number
  readonly #history: Call[] = []
  #nextClient = 1
  #nextValue = 1
  #stopped = false
  answered = 0

  constructor(world: World, nodes: readonly SimNode[], count: number) {
    this.#world = world
    this.#nodes = nodes
    this.#random = world.simulation.random('clients')
    for (let index = 0; index < count; index++) this.#begin(this.#nextClient++, 1)
  }

  stop(): void {
    this.#stopped = true
  }

  /** @returns what is wrong with what the clients saw. */
  check(): readonly string[] {
    const keys = new Set(this.#history.map(({ key }) => key))
    const flaws: string[] = []
    for (const key of keys) {
      const calls = this.#history.filter(call => call.key === key)
      const verdict = checkLinearizable(register, calls, { maxStates: 300_000 })
      if (verdict.linearizable || verdict.gaveUp === true) continue
      const [call] = verdict.stuck ?? []
      flaws.push(`not linearizable: ${key} ${JSON.stringify(call)}`)
    }
    return flaws
  }

  #begin(client: number, sequence: number): void {
    this.#world.simulation.after(this.#random() * 20, () => {
      if (!this.#stopped) this.#call(client, sequence)
    })
  }

  #call(client: number, sequence: number): void {
    const draw = this.#random()
    const key = `r${Math.floor(this.#random() * 3)}`
    const value = this.#nextValue++
    const input: Input =
      draw < 0.4
        ? { kind: 'get' }
        : draw < 0.8
          ? { kind: 'put', value }
          : { kind: 'cas', expected: value - 1 - Math.floor(this.#random() * 4), value }
    const startedAt = this.#world.simulation.now
    let open = true
    const finish = (output: Output | undefined): void => {
      if (!open) return
      open = false
      const call = { client, key, input, startedAt }
      if (output === undefined) {
        // A read that was not answered had no effect; a write may still have its own.
        if (input.kind !== 'get') this.#history.push(call)
        this.#begin(this.#nextClient++, 1)
        return
      }
      this.answered += 1
      this.#history.push({ ...call, endedAt: this.#world.simulation.now, output })
      this.#begin(client, sequence + 1)
    }
    this.#world.simulation.after(patienceMs, () => finish(undefined))
    this.#attempt(() => open, client, sequence, key, input, finish)
  }

  /** Asks one node after the other; a write goes with the same sequence number each time. */
  #attempt(
    isOpen: () => boolean,
    client: number,
    sequence: number,
    key: string,
    input: Input,
    finish: (output: Output | undefined) => void,
  ): void {
    if (!isOpen()) return
    const again = (): void => {
      this.#world.simulation.after(5 + this.#random() * 20, () =>
        this.#attempt(isOpen, client, sequence, key, input, finish),
      )
    }
    const leaders = this.#nodes.filter(node => node.raft?.status.role === 'leader')
    const pool = this.#random() < 0.2 || leaders.length === 0 ? this.#nodes : leaders
    const node = pool[Math.floor(this.#random() * pool.length)] as SimNode
    this.#world.simulation.after(this.#random() * 2, () => {
      if (!isOpen()) return
      const hear = (output: Output | undefined): void => {
        this.#world.simulation.after(this.#random() * 2, () => (output === undefined ? again() : finish(output)))
      }
      const taken =
        input.kind === 'get'
          ? node.read(key, hear)
          : node.write(encode({ client, sequence, key, ...input } as never), hear)
      if (!taken) again()
    })
  }
}

const register: SequentialModel<number | undefined, Input, Output> = {
  initial: undefined,
  step(state, input, output) {
    if (input.kind === 'get') {
      return output === undefined || ('value' in output && output.value === state) ? { state } : undefined
    }
    const fits = input.kind === 'put' || input.expected === state
    if (output !== undefined && !('ok' in output && output.ok === fits)) return undefined
    return { state: fits ? input.value : state }
  },
  key: state => String(state),
}
