import { SubjectIndex } from '../subject-index.js'
import type { DirectSubscriber } from './direct-subscriber.js'

/** Subjects whose subscriber is remembered; a hostile caller of ever new subjects only empties it. */
const cacheSize = 4_096

interface Place {
  readonly members: readonly DirectSubscriber[]
  next: number
}

/** The subscriptions of this instance that take direct calls. */
export class DirectDesk {
  readonly #index = new SubjectIndex<DirectSubscriber>()
  readonly #places = new Map<string, Place>()
  readonly #open = new Set<DirectSubscriber>()

  /** Pattern and queue of each, for the announcement; none twice. */
  get listeners(): [string, string][] {
    const found = new Map<string, [string, string]>()
    for (const { subject, queue } of this.#open) found.set(`${subject} ${queue}`, [subject, queue])
    return [...found.values()]
  }

  get all(): readonly DirectSubscriber[] {
    return [...this.#open]
  }

  add(subscriber: DirectSubscriber): void {
    this.#open.add(subscriber)
    this.#index.add(subscriber.subject, subscriber)
    this.#places.clear()
  }

  remove(subscriber: DirectSubscriber): void {
    if (!this.#open.delete(subscriber)) return
    this.#index.remove(subscriber.subject, subscriber)
    this.#places.clear()
  }

  /**
   * Who serves a subject here; undefined when nobody does, and also when a call must reach more than one of them: then
   * the caller's view is old, and the bus below is to carry the call.
   */
  find(subject: string): DirectSubscriber | undefined {
    const place = this.#places.get(subject) ?? this.#look(subject)
    const { members } = place
    if (members.length < 2) return members[0]
    let chosen = members[place.next++ % members.length] as DirectSubscriber
    for (const member of members) if (member.open < chosen.open) chosen = member
    return chosen
  }

  #look(subject: string): Place {
    const found = this.#index.match(subject)
    const [first] = found
    const one = found.length < 2 || (first?.queue !== '' && found.every(({ queue }) => queue === first?.queue))
    const place = { members: one ? found : [], next: 0 }
    if (this.#places.size >= cacheSize) this.#places.clear()
    this.#places.set(subject, place)
    return place
  }
}
