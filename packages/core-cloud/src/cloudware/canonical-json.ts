/**
 * JSON with sorted keys and no white space: equal values give equal text, whatever order they were written in.
 * Keys sort by UTF-16 code units as in RFC 8785. Members that are undefined are left out.
 * @throws TypeError for a value that JSON cannot say exactly (NaN, functions, cycles deeper than 100).
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0)
}

function write(value: unknown, depth: number): string {
  if (depth > 100) throw new TypeError('value is nested deeper than 100')
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(item => write(item ?? null, depth + 1)).join(',')}]`
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} has no JSON form`)
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${write(member, depth + 1)}`)
  return `{${members.join(',')}}`
}
