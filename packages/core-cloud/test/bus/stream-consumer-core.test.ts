import fc from 'fast-check'
import { test } from 'tap'
import { checkConsumerConfig } from '../../src/bus/stream/stream-checks.js'
import { type Assigned, ConsumerCore, type ConsumerState } from '../../src/bus/stream-log/consumer-core.js'

/** What may happen to a consumer; numbers are cut to what is there. */
type Event =
  | { readonly kind: 'publish' | 'purge'; readonly which: number }
  | { readonly kind: 'join' | 'leave' | 'take'; readonly member: number; readonly capacity: number }
  | { readonly kind: 'ack' | 'nak' | 'term' | 'back' | 'working' | 'stale'; readonly which: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'restart' | 'rejoin'; readonly member: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constantFrom('publish', 'publish', 'publish', 'purge' as const), which: fc.nat(50) }),
  fc.record({
    kind: fc.constantFrom('join', 'leave', 'take', 'take' as const),
    member: fc.nat(2),
    capacity: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({
    kind: fc.constantFrom('ack', 'ack', 'nak', 'term', 'back', 'working', 'stale' as const),
    which: fc.nat(50),
  }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(80) }),
  fc.record({ kind: fc.constantFrom('restart', 'rejoin' as const), member: fc.nat(2) }),
) as fc.Arbitrary<Event>

const settings = fc.record({
  maxUnsettled: fc.integer({ min: 1, max: 6 }),
  maxDeliveries: fc.integer({ min: 1, max: 4 }),
  ackWaitMs: fc.constantFrom(20, 100),
  backoffMs: fc.constantFrom([0], [10, 40]),
})

type Delivery = Assigned & { readonly member: string }

/** The core, and beside it the plainest account of what it may do. */
class Account {
  readonly config
  core: ConsumerCore
  now = 1_000
  last = 0
  readonly purged = new Set<number>()
  readonly members = new Set<string>()
  /** Deliveries that nobody settled or took back. */
  open: Delivery[] = []
  readonly settled = new Set<number>()
  readonly attempts = new Map<number, number>()
  firstDeliveries: number[] = []
  #names = 0
  /** For members of each place: their present name. */
  readonly #places = new Map<number, string>()

  constructor(
    config: object,
    readonly make: (...args: ConstructorParameters<typeof ConsumerCore>) => ConsumerCore,
  ) {
    this.config = checkConsumerConfig({ name: 'c', ...config })
    this.core = make(this.config, { cursor: 1, unsettled: [] }, 0)
  }

  get view() {
    return {
      next: (from: number): number | undefined => {
        for (let sequence = from; sequence <= this.last; sequence++) if (!this.purged.has(sequence)) return sequence
        return undefined
      },
      kept: (sequence: number): boolean => !this.purged.has(sequence),
    }
  }

  apply(event: Event): void {
    switch (event.kind) {
      case 'publish':
        this.last += 1
        return
      case 'purge':
        if (this.last > 0) this.purged.add(1 + (event.which % this.last))
        return
      case 'pass':
        this.now += event.ms
        this.core.expire(this.now)
        return
      case 'join':
        this.#join(event.member, undefined)
        return
      case 'leave':
        this.#leave(this.#places.get(event.member))
        return
      case 'take':
        this.#take(event.member, event.capacity)
        return
      case 'restart':
        this.#restart()
        return
      case 'rejoin':
        this.#rejoin(event.member)
        return
      default:
        this.#settle(event)
    }
  }

  /** Everything that must be true at any time. */
  check(): void {
    const seen = new Set<number>()
    for (const [sequence] of this.core.state().unsettled) {
      if (seen.has(sequence)) throw new Error(`${sequence} twice`)
      seen.add(sequence)
      if (sequence >= this.core.cursor) throw new Error('unsettled behind the cursor')
      if (this.settled.has(sequence)) throw new Error(`${sequence} was settled`)
    }
    if (this.core.unsettled > this.config.maxUnsettled) throw new Error('too many unsettled')
    const sorted = [...this.firstDeliveries].sort((a, b) => a - b)
    if (sorted.join() !== this.firstDeliveries.join()) throw new Error('first deliveries out of order')
    for (const [sequence, attempt] of this.attempts) {
      if (attempt > this.config.maxDeliveries) throw new Error(`${sequence} delivered ${attempt} times`)
    }
    for (let sequence = 1; sequence < this.core.cursor; sequence++) {
      if (this.purged.has(sequence) || this.settled.has(sequence) || seen.has(sequence)) continue
      throw new Error(`${sequence} is lost`)
    }
  }

  /** Nothing fails any more: everything must come to an end. */
  finish(): void {
    for (const member of [...this.members]) this.#leave(member)
    this.#join(0, undefined)
    for (let round = 0; round < 500; round++) {
      this.now += 100
      this.core.expire(this.now)
      this.#bury()
      this.#take(0, 4)
      for (const delivery of this.open.splice(0)) this.#say(delivery, 'ack')
    }
    for (let sequence = 1; sequence <= this.last; sequence++) {
      if (!this.purged.has(sequence) && !this.settled.has(sequence)) throw new Error(`${sequence} never settled`)
    }
    if (this.core.unsettled !== 0 || this.core.floor < this.core.cursor - 1) throw new Error('not at the end')
  }

  #join(place: number, previous: string | undefined): string {
    if (previous === undefined) this.#leave(this.#places.get(place))
    const name = `m${++this.#names}`
    this.#places.set(place, name)
    this.members.add(name)
    this.core.join(name)
    return name
  }

  #leave(member: string | undefined): void {
    if (member === undefined || !this.members.delete(member)) return
    this.core.leave(member, this.now)
    this.open = this.open.filter(delivery => delivery.member !== member)
    this.#bury()
  }

  #take(place: number, capacity: number): void {
    const member = this.#places.get(place)
    if (member === undefined || !this.members.has(member)) return
    this.core.setCapacity(member, capacity)
    const had = this.open.filter(delivery => delivery.member === member && this.#isHeld(delivery)).length
    const taken = this.core.take(member, this.view, this.now)
    if (taken.length > 0 && had + taken.length > capacity) throw new Error('more than the member takes')
    for (const each of taken) {
      if (this.open.some(other => other.sequence === each.sequence && this.#isHeld(other)))
        throw new Error('two have it')
      if (this.settled.has(each.sequence)) throw new Error(`${each.sequence} again after it was settled`)
      if (!this.attempts.has(each.sequence)) this.firstDeliveries.push(each.sequence)
      this.attempts.set(each.sequence, each.attempt)
      this.open.push({ ...each, member })
    }
  }

  /** True while the core takes a word about it: found out on a copy. */
  #isHeld({ member, sequence, attempt }: Delivery): boolean {
    return this.core.settle(member, { sequence, attempt, kind: 'working' }, this.now)
  }

  #settle(event: Extract<Event, { readonly which: number }>): void {
    const delivery = this.open[event.which % Math.max(1, this.open.length)]
    if (delivery === undefined) return
    if (event.kind === 'stale') {
      const { member, sequence, attempt } = delivery
      const stale = this.core.settle(member, { sequence, attempt: attempt + 1, kind: 'ack' }, this.now)
      const foreign = this.core.settle('nobody', { sequence, attempt, kind: 'ack' }, this.now)
      if (stale || foreign) throw new Error('a stale word counted')
      return
    }
    if (event.kind !== 'publish' && event.kind !== 'purge') this.#say(delivery, event.kind)
  }

  #say(delivery: Delivery, kind: 'ack' | 'nak' | 'term' | 'back' | 'working'): void {
    const { member, sequence, attempt } = delivery
    const counted = this.core.settle(member, { sequence, attempt, kind, reason: 'r' }, this.now)
    if (kind !== 'working') this.open = this.open.filter(other => other !== delivery)
    if (counted && kind === 'ack') this.settled.add(sequence)
    if (counted && kind === 'back') this.attempts.set(sequence, attempt - 1)
    this.#bury()
  }

  #bury(): void {
    for (const { sequence, attempts } of this.core.takeDying()) {
      if (attempts > this.config.maxDeliveries) throw new Error('died too late')
      this.core.buried(sequence)
      this.settled.add(sequence)
    }
  }

  #restart(): void {
    this.#bury()
    const stored = JSON.parse(JSON.stringify(this.core.state())) as ConsumerState
    this.core = this.make(this.config, stored, this.now + 10)
    this.members.clear()
  }

  /** After a restart a member comes back with what it works on. */
  #rejoin(place: number): void {
    const before = this.#places.get(place)
    if (before === undefined || this.members.has(before)) return
    const working = this.open.filter(delivery => delivery.member === before)
    const member = this.#join(place, before)
    const kept = this.core.adopt(member, working, this.now)
    this.open = this.open.filter(delivery => delivery.member !== before)
    for (const each of kept) this.open.push({ ...each, member })
  }
}

function run(make: (...args: ConstructorParameters<typeof ConsumerCore>) => ConsumerCore, runs: number): void {
  fc.assert(
    fc.property(settings, fc.array(event, { maxLength: 120, size: 'max' }), (config, events) => {
      const account = new Account(config, make)
      for (const each of events) {
        account.apply(each)
        account.check()
      }
      account.finish()
    }),
    { numRuns: runs, seed: 1 },
  )
}

test('whatever happens, a consumer loses nothing, repeats nothing settled and keeps its order', async () => {
  run((...args) => new ConsumerCore(...args), 1_500)
})

test('the account finds planted mistakes', async t => {
  /** Gives new messages before those that come again, newest first. */
  class Unordered extends ConsumerCore {
    override take(...[member, view, now]: Parameters<ConsumerCore['take']>): Assigned[] {
      let skipped = false
      return super.take(
        member,
        {
          ...view,
          next: from => {
            const first = view.next(from)
            const second = first === undefined || skipped ? undefined : view.next(first + 1)
            skipped = true
            return second ?? first
          },
        },
        now,
      )
    }
  }
  /** Believes every word about a message, whoever says it about whichever delivery. */
  class Gullible extends ConsumerCore {
    override settle(...[member, settlement, now]: Parameters<ConsumerCore['settle']>): boolean {
      const held = super.settle(member, settlement, now)
      if (!held && settlement.kind === 'ack') this.forget(settlement.sequence)
      return held || settlement.kind === 'ack'
    }
  }
  /** Forgets at a restart what members had. */
  class Forgetful extends ConsumerCore {
    override state(): ConsumerState {
      const { cursor, unsettled } = super.state()
      return { cursor, unsettled: unsettled.filter(([, , due]) => due > 0) }
    }
  }
  /** Passes by what waits to come again. */
  class Sleepy extends ConsumerCore {
    override adopt(...[member, working, now]: Parameters<ConsumerCore['adopt']>): Assigned[] {
      const kept = super.adopt(member, working, now)
      for (const { sequence } of kept) this.forget(sequence)
      return kept
    }
  }
  for (const Wrong of [Unordered, Gullible, Forgetful, Sleepy]) {
    t.throws(() => run((...args) => new Wrong(...args), 1_500), Wrong.name)
  }
})
