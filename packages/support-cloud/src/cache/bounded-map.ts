interface Entry<V> {
  readonly value: V
  readonly bytes: number
  /** Asked for since it got its place. */
  used: boolean
}

/**
 * A map bounded by the bytes its user says values have; what was not asked for lately leaves first (second chance: like
 * the least recently used, but `get` moves nothing). For answers in one process that are asked for with every request;
 * {@link Cache} is for everything else.
 */
export class BoundedMap<V> {
  readonly #entries = new Map<string, Entry<V>>()
  #bytes = 0

  constructor(readonly maxBytes: number) {}

  /** Of all values together. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.used = true
    return entry.value
  }

  /** Replaces what is there; a value of more than `maxBytes` is not kept. */
  set(key: string, value: V, bytes: number): void {
    this.delete(key)
    if (bytes > this.maxBytes) return
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes + bytes <= this.maxBytes) break
      this.delete(oldest)
      // Its place is at the end now, and without another use this was its last chance.
      if (entry.used) this.#add(oldest, { ...entry, used: false })
    }
    this.#add(key, { value, bytes, used: false })
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }

  #add(key: string, entry: Entry<V>): void {
    this.#entries.set(key, entry)
    this.#bytes += entry.bytes
  }
}
