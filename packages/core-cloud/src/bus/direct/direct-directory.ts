import { SubjectIndex } from '../subject-index.js'
import type { DirectTarget } from './direct-call.js'

/** Subjects whose members are remembered; a program that makes ever new subjects only empties it. */
const cacheSize = 4_096

/** What is known of an instance's place among the others. */
export interface DirectMember {
  readonly instance: string
  /** Pattern and queue of what it listens to. */
  readonly listeners: readonly (readonly [string, string])[]
  readonly target: DirectTarget
}

interface Listener {
  readonly member: DirectMember
  readonly pattern: string
  readonly queue: string
}

/** Everybody a call may go to: exactly one of them is to get it. */
interface Route {
  readonly targets: readonly DirectTarget[]
  next: number
}

/**
 * Who listens where, as announced, and whom a call goes to. Pure: no clock, no I/O.
 * A call may go directly when everybody who listens to its subject is in one queue, or one plain listener is alone:
 * then sending it to one of them is what the bus below would do.
 */
export class DirectDirectory {
  readonly #members = new Map<string, DirectMember>()
  readonly #index = new SubjectIndex<Listener>()
  readonly #entries = new Map<string, Listener[]>()
  readonly #routes = new Map<string, Route>()

  get size(): number {
    return this.#members.size
  }

  /** Takes what is new of a member in place of what was known. */
  put(member: DirectMember): void {
    this.remove(member.instance)
    this.#members.set(member.instance, member)
    const listeners = member.listeners.map(([pattern, queue]) => ({ member, pattern, queue }))
    this.#entries.set(member.instance, listeners)
    for (const listener of listeners) this.#index.add(listener.pattern, listener)
    this.#routes.clear()
  }

  remove(instance: string): void {
    if (!this.#members.delete(instance)) return
    for (const listener of this.#entries.get(instance) ?? []) this.#index.remove(listener.pattern, listener)
    this.#entries.delete(instance)
    this.#routes.clear()
  }

  /**
   * Chooses the member with fewer calls of this process under way: of the one whose turn it is and another by chance
   * (Mitzenmacher, "The power of two choices in randomized load balancing", 2001; turns make it even at rest).
   * @param random - a number in [0, 1).
   * @returns undefined when the call is for the bus below: nobody known, several to reach, nobody reachable.
   */
  choose(subject: string, random: () => number): DirectTarget | undefined {
    const route = this.#routes.get(subject) ?? this.#look(subject)
    const { targets } = route
    const count = targets.length
    if (count === 0) return undefined
    const turn = route.next++ % count
    const first = targets[turn] as DirectTarget
    if (count === 1) return first.blocked ? undefined : first
    const second = targets[(turn + 1 + Math.floor(random() * (count - 1))) % count] as DirectTarget
    const chosen = second.blocked || (!first.blocked && first.inFlight <= second.inFlight) ? first : second
    return chosen.blocked ? targets.find(({ blocked }) => !blocked) : chosen
  }

  #look(subject: string): Route {
    const found = this.#index.match(subject)
    const [first] = found
    const one = found.length === 1 || (first?.queue !== '' && found.every(({ queue }) => queue === first?.queue))
    const route = { targets: one ? [...new Set(found.map(({ member }) => member.target))] : [], next: 0 }
    if (this.#routes.size >= cacheSize) this.#routes.clear()
    this.#routes.set(subject, route)
    return route
  }
}
