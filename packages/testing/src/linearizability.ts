/** One call of a client on the system under test. Times are of one clock that everybody shares. */
export interface HistoryCall<I, O> {
  readonly client: number
  readonly input: I
  readonly startedAt: number
  /** Absent when the answer never came: the call may have had its effect at any later time, or never. */
  readonly endedAt?: number
  readonly output?: O
}

/** What the system should do, one call after the other. */
export interface SequentialModel<S, I, O> {
  readonly initial: S
  /** The next state; undefined when this output is impossible. An unknown output (`undefined`) fits every state. */
  step(state: S, input: I, output: O | undefined): { readonly state: S } | undefined
  /** Equal for equal states. */
  key(state: S): string
}

export interface LinearizabilityVerdict<I, O> {
  readonly linearizable: boolean
  /** When not: the calls that had an order, the longest found, and the first that found no place. */
  readonly ordered?: readonly HistoryCall<I, O>[]
  readonly stuck?: readonly HistoryCall<I, O>[]
  /** The search was given up after `maxStates`; `linearizable` is then not meant. */
  readonly gaveUp?: boolean
}

/**
 * Is there an order of the calls that respects real time (a call that ended before another began comes first) and in
 * which every answer is what the model says? Search of Wing and Gong with the memory of Lowe ("Testing for
 * linearizability", 2017): the same set of calls in the same state is tried once.
 * Split a history by key first where keys do not touch each other: the search is exponential in overlapping calls.
 */
export function checkLinearizable<S, I, O>(
  model: SequentialModel<S, I, O>,
  history: readonly HistoryCall<I, O>[],
  options: { readonly maxStates?: number } = {},
): LinearizabilityVerdict<I, O> {
  const { maxStates = 5_000_000 } = options
  const calls = [...history].sort((a, b) => a.startedAt - b.startedAt)
  const seen = new Set<string>()
  const chosen = new Bits(calls.length)
  const needed = calls.filter(call => call.endedAt !== undefined).length
  const path: { readonly call: number; readonly state: S }[] = []
  let best: number[] = []
  let done = 0
  let state = model.initial
  let from = 0
  for (;;) {
    if (done === needed) return { linearizable: true }
    if (seen.size > maxStates) return { linearizable: false, gaveUp: true }
    const found = nextCall(calls, chosen, from, call => model.step(state, call.input, call.output))
    if (found !== undefined) {
      chosen.set(found.call)
      const memory = `${chosen.key()}|${model.key(found.state)}`
      if (!seen.has(memory)) {
        seen.add(memory)
        path.push({ call: found.call, state })
        state = found.state
        if (calls[found.call]?.endedAt !== undefined) done += 1
        if (path.length > best.length) best = path.map(({ call }) => call)
        from = 0
        continue
      }
      chosen.clear(found.call)
      from = found.call + 1
      continue
    }
    const last = path.pop()
    if (last === undefined) return refusal(calls, best)
    chosen.clear(last.call)
    if (calls[last.call]?.endedAt !== undefined) done -= 1
    state = last.state
    from = last.call + 1
  }
}

/** The first call at or behind `from` that may come next and whose answer fits. */
function nextCall<S, I, O>(
  calls: readonly HistoryCall<I, O>[],
  chosen: Bits,
  from: number,
  step: (call: HistoryCall<I, O>) => { readonly state: S } | undefined,
): { readonly call: number; readonly state: S } | undefined {
  // Whoever starts after the earliest end of an open call must come after that call.
  let horizon = Number.POSITIVE_INFINITY
  for (let at = chosen.firstClear(); at < calls.length; at++) {
    if (chosen.has(at)) continue
    const call = calls[at] as HistoryCall<I, O>
    if (call.startedAt > horizon) break
    horizon = Math.min(horizon, call.endedAt ?? Number.POSITIVE_INFINITY)
    if (at < from) continue
    const next = step(call)
    if (next !== undefined) return { call: at, state: next.state }
  }
  return undefined
}

function refusal<I, O>(calls: readonly HistoryCall<I, O>[], best: readonly number[]): LinearizabilityVerdict<I, O> {
  const placed = new Set(best)
  const ordered = best.map(at => calls[at] as HistoryCall<I, O>)
  const stuck = calls.filter((call, at) => !placed.has(at) && call.endedAt !== undefined).slice(0, 5)
  return { linearizable: false, ordered, stuck }
}

class Bits {
  readonly #words: Uint32Array
  #firstClear = 0

  constructor(size: number) {
    this.#words = new Uint32Array(Math.ceil(size / 32) + 1)
  }

  has(bit: number): boolean {
    return (((this.#words[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1
  }

  set(bit: number): void {
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) | (1 << (bit & 31))
    while (this.has(this.#firstClear)) this.#firstClear += 1
  }

  clear(bit: number): void {
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) & ~(1 << (bit & 31))
    this.#firstClear = Math.min(this.#firstClear, bit)
  }

  firstClear(): number {
    return this.#firstClear
  }

  /** Everything before the first open call is the same in all sets that share it. */
  key(): string {
    const from = this.#firstClear >>> 5
    let end = this.#words.length
    while (end > from && this.#words[end - 1] === 0) end -= 1
    return `${from}:${this.#words.subarray(from, end).join(',')}`
  }
}
