/** Entries of a table at a time. */
const maxTableEntries = 1 << 20

const indexMask = maxTableEntries - 1

/**
 * Things by number. An id is a place in an array and, above it, a count of how often the place was used, so an id of
 * something that is gone finds nothing. A Map would do the same, but one that is filled and emptied thousands of times
 * a second leaves a chain of dead tables behind that the garbage collector copies again and again.
 */
export class IdTable<T> {
  readonly #ids: number[] = []
  readonly #values: (T | undefined)[] = []
  readonly #free: number[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns the new id, above 0; or 0 when the table is full. */
  add(value: T): number {
    let index = this.#free.pop()
    if (index === undefined) {
      index = this.#values.length
      if (index >= maxTableEntries) return 0
      this.#values.push(undefined)
      this.#ids.push(index)
    }
    const uses = (((this.#ids[index] as number) >>> 20) + 1) & 0xfff
    const id = ((uses === 0 ? 1 : uses) * maxTableEntries + index) >>> 0
    this.#ids[index] = id
    this.#values[index] = value
    this.#size += 1
    return id
  }

  /**
   * Keeps something under an id that another table made. Not to be mixed with {@link IdTable.add} in one table.
   * @returns false when its place is taken, or not below `limit`.
   */
  put(id: number, value: T, limit = maxTableEntries): boolean {
    const index = id & indexMask
    if (index >= limit || this.#values[index] !== undefined) return false
    while (this.#values.length <= index) {
      this.#values.push(undefined)
      this.#ids.push(0)
    }
    this.#ids[index] = id
    this.#values[index] = value
    this.#size += 1
    return true
  }

  get(id: number): T | undefined {
    const index = id & indexMask
    return this.#ids[index] === id ? this.#values[index] : undefined
  }

  /** Removes and gives. The place may be used again. */
  take(id: number): T | undefined {
    const value = this.get(id)
    if (value === undefined) return undefined
    this.#clear(id & indexMask)
    return value
  }

  /** {@link IdTable.take} for a table filled by {@link IdTable.add}: the place goes back to be given out. */
  release(id: number): T | undefined {
    const value = this.take(id)
    if (value !== undefined) this.#free.push(id & indexMask)
    return value
  }

  /** What is in the table now, with its id; changes while one goes through it do not matter. */
  entries(): (readonly [number, T])[] {
    const found: (readonly [number, T])[] = []
    for (const [index, value] of this.#values.entries())
      if (value !== undefined) found.push([this.#ids[index] as number, value])
    return found
  }

  #clear(index: number): void {
    this.#values[index] = undefined
    this.#size -= 1
  }
}
