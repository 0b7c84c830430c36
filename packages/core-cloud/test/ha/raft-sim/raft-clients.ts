import { checkLinearizable, type HistoryCall, type SequentialModel } from '@aaas/testing'
import { encode, type Output } from './register.js'
import type { SimNode, World } from './sim-node.js'

type Input =
  | { readonly kind: 'put'; readonly value: number }
  | { readonly kind: 'cas'; readonly expected: number | undefined; readonly value: number }
  | { readonly kind: 'take'; readonly value: number }
  | { readonly kind: 'get' }

type Call = HistoryCall<Input, Output> & { readonly key: string }

interface Open {
  readonly client: number
  readonly sequence: number
  readonly key: string
  readonly input: Input
  readonly startedAt: number
  finish(output: Output | undefined): void
  ended: boolean
}

const patienceMs = { read: 120, write: 300 }

/**
 * Clients that write and read registers and take a lock, through whatever node they think leads, one call after the other
 * each; who got no answer to a write comes back as another client.
 */
export class RaftClients {
  answered = 0
  /** When the latest of the answered writes had begun. */
  lastWriteBegun = -1
  readonly #world: World
  readonly #nodes: readonly SimNode[]
  readonly #random: () => number
  readonly #history: Call[] = []
  readonly #keys: number
  readonly #readShare: number
  readonly #open = new Set<Open>()
  #nextClient = 1
  #nextValue = 1
  /** Rises when the clients stop: who belongs to an earlier round begins no more calls. */
  #round = 0

  constructor(world: World, nodes: readonly SimNode[]) {
    this.#world = world
    this.#nodes = nodes
    this.#random = world.simulation.random('clients')
    this.#keys = 1 + Math.floor(this.#random() * 3)
    this.#readShare = 0.2 + this.#random() * 0.6
  }

  start(count: number): void {
    for (let index = 0; index < count; index++) this.#begin(this.#nextClient++, 1, this.#round)
  }

  /** No new calls from now on. */
  stop(): void {
    this.#round += 1
  }

  /** @returns what is wrong with what the clients saw; calls that are still open may have had their effect. */
  check(): readonly string[] {
    for (const { client, key, input, startedAt } of this.#open) {
      if (input.kind !== 'get') this.#history.push({ client, key, input, startedAt })
    }
    this.#open.clear()
    const keys = new Set(this.#history.map(({ key }) => key))
    const flaws = checkTokens(this.#history)
    for (const key of keys) {
      if (key === 'lock') continue
      const calls = this.#history.filter(call => call.key === key)
      const verdict = checkLinearizable(register, calls, { maxStates: 300_000 })
      if (verdict.linearizable || verdict.gaveUp === true) continue
      const [call] = verdict.stuck ?? []
      flaws.push(`not linearizable: ${key} ${JSON.stringify(call)}`)
    }
    return flaws
  }

  #begin(client: number, sequence: number, round: number): void {
    this.#world.simulation.after(this.#random() * 20, () => {
      if (round === this.#round) this.#call(client, sequence)
    })
  }

  #input(): { readonly key: string; readonly input: Input } {
    const draw = this.#random()
    const key = `r${Math.floor(this.#random() * this.#keys)}`
    const value = this.#nextValue++
    if (this.#random() < this.#readShare) return { key, input: { kind: 'get' } }
    if (draw < 0.6) return { key, input: { kind: 'put', value } }
    if (draw < 0.75) return { key: 'lock', input: { kind: 'take', value } }
    return { key, input: { kind: 'cas', expected: value - 1 - Math.floor(this.#random() * 4), value } }
  }

  #call(client: number, sequence: number): void {
    const { simulation, watch } = this.#world
    const { key, input } = this.#input()
    const startedAt = simulation.now
    const round = this.#round
    const name = `client ${client}.${sequence}`
    watch.event(`${name} calls`, { key, ...input })
    const open: Open = {
      client,
      sequence,
      key,
      input,
      startedAt,
      ended: false,
      finish: output => {
        if (open.ended) return
        open.ended = true
        this.#open.delete(open)
        watch.event(output === undefined ? `${name} gives up` : `${name} is answered`, output ?? {})
        const call = { client, key, input, startedAt }
        if (output === undefined) {
          // A read that was not answered had no effect; a write may still have its own.
          if (input.kind !== 'get') this.#history.push(call)
          this.#begin(this.#nextClient++, 1, round)
          return
        }
        this.answered += 1
        if (input.kind !== 'get') this.lastWriteBegun = Math.max(this.lastWriteBegun, startedAt)
        this.#history.push({ ...call, endedAt: simulation.now, output })
        this.#begin(client, sequence + 1, round)
      },
    }
    this.#open.add(open)
    simulation.after(patienceMs[input.kind === 'get' ? 'read' : 'write'], () => open.finish(undefined))
    this.#attempt(open)
  }

  /** Asks one node after the other; a write goes with the same sequence number each time. */
  #attempt(open: Open): void {
    if (open.ended) return
    const { simulation } = this.#world
    const leaders = this.#nodes.filter(node => node.raft?.status.role === 'leader')
    const pool = this.#random() < 0.2 || leaders.length === 0 ? this.#nodes : leaders
    const node = pool[Math.floor(this.#random() * pool.length)] as SimNode
    let moved = false
    const again = (): void => {
      if (moved) return
      moved = true
      simulation.after(5 + this.#random() * 20, () => this.#attempt(open))
    }
    // A node that says nothing is left alone; should its answer come all the same, it counts.
    simulation.after(25 + this.#random() * 50, again)
    const hear = (output: Output | undefined): void => {
      simulation.after(this.#random() * 2, () => (output === undefined ? again() : open.finish(output)))
    }
    simulation.after(this.#random() * 2, () => {
      if (open.ended) return
      const { client, sequence, key, input } = open
      const taken =
        input.kind === 'get' ? node.read(key, hear) : node.write(encode({ client, sequence, key, ...input }), hear)
      if (!taken) again()
    })
  }
}

/** Every grant has a token of its own, and a larger one than every grant that had ended before it was asked for. */
function checkTokens(history: readonly Call[]): string[] {
  const grants = history.flatMap(({ output, startedAt, endedAt }) =>
    output !== undefined && 'token' in output && endedAt !== undefined
      ? [{ token: output.token, startedAt, endedAt }]
      : [],
  )
  grants.sort((a, b) => a.token - b.token)
  const flaws: string[] = []
  let latestStart = Number.NEGATIVE_INFINITY
  for (const [place, { token, startedAt, endedAt }] of grants.entries()) {
    if (token === grants[place - 1]?.token) flaws.push(`the token ${token} was given twice`)
    // Somebody with a smaller token had asked only after this grant was known.
    if (latestStart > endedAt) flaws.push(`a grant after the one of token ${token} has a smaller token`)
    latestStart = Math.max(latestStart, startedAt)
  }
  return flaws
}

const register: SequentialModel<number | undefined, Input, Output> = {
  initial: undefined,
  step(state, input, output) {
    if (input.kind === 'get') {
      return output === undefined || ('value' in output && output.value === state) ? { state } : undefined
    }
    const fits = input.kind !== 'cas' || input.expected === state
    if (output !== undefined && !('ok' in output && output.ok === fits)) return undefined
    return { state: fits ? input.value : state }
  },
  key: state => String(state),
}
