interface Due {
  readonly at: number
  readonly id: number
}

/** What is due first: a binary heap. Those of one time come in the order of their ids. */
export class LaterHeap {
  readonly #heap: Due[] = []

  get next(): Due | undefined {
    return this.#heap[0]
  }

  add(due: Due): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(due)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!before(due, heap[parent] as Due)) break
      heap[at] = heap[parent] as Due
      at = parent
    }
    heap[at] = due
  }

  take(): Due | undefined {
    const heap = this.#heap
    const first = heap[0]
    const moved = heap.pop()
    if (moved === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Due, heap[child] as Due)) child += 1
      if (!before(heap[child] as Due, moved)) break
      heap[at] = heap[child] as Due
      at = child
    }
    heap[at] = moved
    return first
  }
}

const before = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.id < b.id)
