/** Below this many units a page says how many are left. */
export const fewUnits = 5
/** Most units that the form of a product page takes at once. */
export const mostUnits = 999

/**
 * True when two values read the same on a page: equal, but for stock above `most` units, which pages do not tell apart.
 * Cheap for what comes from the catalogue: parts that did not change are the same objects there.
 */
export function looksSame(a: unknown, b: unknown, most: number): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((one, index) => looksSame(one, b[index], most))
    )
  }
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every(name => Object.hasOwn(b, name) && sameMember(name, member(a, name), member(b, name), most))
  )
}

function sameMember(name: string, a: unknown, b: unknown, most: number): boolean {
  if (name === 'available' && typeof a === 'number' && typeof b === 'number') {
    return Math.max(0, Math.min(a, most)) === Math.max(0, Math.min(b, most))
  }
  return looksSame(a, b, most)
}

function member(of: object, name: string): unknown {
  return (of as Readonly<Record<string, unknown>>)[name]
}
