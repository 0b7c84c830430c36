import { seededRandom } from './seeded-random.js'

interface Event {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * A world in which time is a number and everything happens in an order that a seed decides. What runs in it takes its
 * time, its delays and its randomness from here and from nowhere else; then one seed is one run, on every machine.
 * Times are virtual milliseconds, fractions allowed.
 */
export class Simulation {
  readonly seed: number
  /** The `Clock` port of `@aaas/core-cloud/kernel`. */
  readonly clock: {
    now(): number
    monotonic(): number
    after(ms: number, fn: () => void): () => void
  }
  #now = 0
  #order = 0
  /** A binary heap by time, then by order of scheduling. */
  readonly #heap: Event[] = []
  #steps = 0
  #halted = false

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.clock = {
      now: () => 1_700_000_000_000 + this.#now,
      monotonic: () => this.#now,
      after: (ms, fn) => this.after(ms, fn),
    }
  }

  get now(): number {
    return this.#now
  }

  /** Events that have happened. */
  get steps(): number {
    return this.#steps
  }

  /** A stream of random numbers of its own for every label: a draw in one does not move the others. */
  random(label: string): () => number {
    let hash = 0x811c_9dc5
    for (const char of label) hash = Math.imul(hash ^ (char.codePointAt(0) as number), 0x0100_0193)
    return seededRandom((hash ^ Math.imul(this.seed + 1, 0x9e37_79b1)) >>> 0)
  }

  /** Calls `run` after `ms`. @returns a function that cancels it. */
  after(ms: number, run: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Ends the run after the present event, and every later run before its first: enough was seen. */
  halt(): void {
    this.#halted = true
  }

  /** Lets everything happen until the given time (at most `maxSteps` events), calling `check` after each event. */
  run(until: number, options: { readonly maxSteps?: number; readonly check?: () => void } = {}): void {
    const { maxSteps = Number.POSITIVE_INFINITY, check } = options
    const end = this.#steps + maxSteps
    while (this.#steps < end && !this.#halted) {
      const next = this.#heap[0]
      if (next === undefined || next.at > until) break
      this.#pop()
      this.#now = next.at
      if (next.run === undefined) continue
      this.#steps += 1
      next.run()
      check?.()
    }
    if (this.#steps < end && !this.#halted) this.#now = Math.max(this.#now, until)
  }

  #push(event: Event): void {
    const heap = this.#heap
    let place = heap.push(event) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[place] = heap[parent] as Event
      place = parent
    }
    heap[place] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child += 1
      if (!before(heap[child] as Event, last)) break
      heap[place] = heap[child] as Event
      place = child
    }
    heap[place] = last
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
