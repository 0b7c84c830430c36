/** A small fast generator for simulations: mulberry32, public domain by Tommy Ettinger. Same seed, same numbers. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Ids and randomness from a seed. Fits the `Ids` port of `@aaas/core-cloud/kernel`. */
export function seededIds(seed = 1): { uuid(): string; token(bytes?: number): string; random(): number } {
  const random = seededRandom(seed)
  let count = 0
  return {
    uuid() {
      count += 1
      return `01900000-0000-7000-8000-${count.toString(16).padStart(12, '0')}`
    },
    token(bytes = 16) {
      let text = ''
      for (let index = 0; index < Math.ceil((bytes * 8) / 5); index++) {
        text += 'abcdefghijklmnopqrstuvwxyz234567'[Math.floor(random() * 32)]
      }
      return text
    },
    random,
  }
}
