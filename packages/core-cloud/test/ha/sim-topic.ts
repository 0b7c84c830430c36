import { seededRandom } from '@aaas/testing'
import type { GossipTopic } from '../../src/ha/libp2p/topic.js'
import type { Clock } from '../../src/kernel/clock.js'

interface Faults {
  drop: number
  duplicate: number
  maxDelayMs: number
}

/** A topic that loses, repeats and reorders, and says truly who speaks. */
export class SimTopic {
  readonly faults: Faults = { drop: 0, duplicate: 0, maxDelayMs: 1 }
  /** Everything that was ever said. */
  readonly said: { readonly from: string; readonly data: Uint8Array }[] = []
  readonly #clock: Clock
  readonly #random: () => number
  readonly #ends = new Map<string, { handle: (from: string, data: Uint8Array) => void; join: () => void }>()

  constructor(clock: Clock, seed: number) {
    this.#clock = clock
    this.#random = seededRandom(seed)
  }

  open(self: string): GossipTopic {
    const end = { handle: (_from: string, _data: Uint8Array): void => undefined, join: (): void => undefined }
    this.#ends.set(self, end)
    return {
      self,
      publish: data => this.say(self, data),
      onMessage: handler => {
        end.handle = handler
      },
      onJoin: handler => {
        end.join = handler
      },
      leave: () => {
        this.#ends.delete(self)
      },
    }
  }

  say(from: string, data: Uint8Array): void {
    this.said.push({ from, data })
    for (const [name, end] of this.#ends) {
      if (name === from || this.#random() < this.faults.drop) continue
      const times = this.#random() < this.faults.duplicate ? 2 : 1
      for (let count = 0; count < times; count++) {
        this.#clock.after(this.#random() * this.faults.maxDelayMs, () => {
          if (this.#ends.get(name) === end) end.handle(from, Uint8Array.from(data))
        })
      }
    }
  }
}
