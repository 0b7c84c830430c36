/** A stored message and when it is due, epoch milliseconds. */
export interface Due {
  readonly at: number
  readonly sequence: number
}

/** Binary heap: the earliest first, of those at one time the one stored first. */
export class DueHeap {
  #items: Due[] = []

  get first(): Due | undefined {
    return this.#items[0]
  }

  clear(): void {
    this.#items = []
  }

  push(item: Due): void {
    const items = this.#items
    let place = items.length
    items.push(item)
    while (place > 0) {
      const above = (place - 1) >> 1
      if (!earlier(item, items[above] as Due)) break
      items[place] = items[above] as Due
      place = above
    }
    items[place] = item
  }

  pop(): Due | undefined {
    const items = this.#items
    const [first] = items
    const last = items.pop()
    if (items.length === 0 || last === undefined) return first
    let place = 0
    for (;;) {
      let below = 2 * place + 1
      if (below >= items.length) break
      if (below + 1 < items.length && earlier(items[below + 1] as Due, items[below] as Due)) below += 1
      if (!earlier(items[below] as Due, last)) break
      items[place] = items[below] as Due
      place = below
    }
    items[place] = last
    return first
  }
}

function earlier(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.sequence < other.sequence)
}
