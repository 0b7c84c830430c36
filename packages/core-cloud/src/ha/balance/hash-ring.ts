/** Points of each endpoint on the ring: the shares of any two differ by about a tenth. */
const pointsEach = 100

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): the same key goes to the same
 * endpoint while that has no more than `bound` times its fair share under way; then to the next on the ring. When an
 * endpoint comes or goes, only its share of the keys moves.
 */
export class HashRing {
  readonly #points: { readonly at: number; readonly id: string }[]
  readonly #count: number

  constructor(ids: readonly string[]) {
    this.#count = ids.length
    this.#points = ids
      .flatMap(id => Array.from({ length: pointsEach }, (_, point) => ({ at: hash(`${id}#${point}`), id })))
      .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
  }

  /**
   * @param inFlight - calls under way at an endpoint.
   * @param usable - endpoints that may be used at all.
   * @returns undefined when none may.
   */
  pick(
    key: string,
    inFlight: (id: string) => number,
    usable: (id: string) => boolean,
    bound = 1.25,
  ): string | undefined {
    const ids = new Set<string>()
    let total = 1
    let first: string | undefined
    const start = this.#from(hash(key))
    const order: string[] = []
    for (let step = 0; step < this.#points.length && ids.size < this.#count; step++) {
      const { id } = this.#points[(start + step) % this.#points.length] as { id: string }
      if (ids.has(id)) continue
      ids.add(id)
      if (!usable(id)) continue
      first ??= id
      total += inFlight(id)
      order.push(id)
    }
    const most = Math.ceil((bound * total) / Math.max(1, order.length))
    return order.find(id => inFlight(id) < most) ?? first
  }

  #from(at: number): number {
    let [low, high] = [0, this.#points.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#points[middle] as { at: number }).at < at) low = middle + 1
      else high = middle
    }
    return low % Math.max(1, this.#points.length)
  }
}

/** FNV-1a, then the finalizer of MurmurHash3. */
function hash(text: string): number {
  let value = 0x811c_9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x0100_0193)
  value = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2_ae35)
  return (value ^ (value >>> 16)) >>> 0
}
