import { randomFillSync } from 'node:crypto'
import type { Ids } from './ids.js'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** Asking the source costs more than the bytes: they are fetched by this many. */
const poolBytes = 2_048

/** Gives each byte of the secure random source once, and keeps none that it gave. */
function randomPool(): (count: number) => Buffer {
  const pool = Buffer.alloc(poolBytes)
  let used = poolBytes
  return count => {
    if (count > poolBytes) return randomFillSync(Buffer.alloc(count))
    if (used + count > poolBytes) {
      randomFillSync(pool)
      used = 0
    }
    const bytes = Buffer.from(pool.subarray(used, used + count))
    pool.fill(0, used, used + count)
    used += count
    return bytes
  }
}

/** Identifiers from the machine's clock and secure random source. UUID version 7 after RFC 9562, section 5.7. */
export function systemIds(): Ids {
  const randomBytes = randomPool()
  return {
    uuid() {
      const bytes = randomBytes(16)
      bytes.writeUIntBE(Date.now(), 0, 6)
      bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
      bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
      const hex = bytes.toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    },
    token(bytes = 16) {
      let text = ''
      for (const byte of randomBytes(Math.ceil((bytes * 8) / 5))) text += alphabet[byte & 31]
      return text
    },
    random: () => Math.random(),
  }
}
