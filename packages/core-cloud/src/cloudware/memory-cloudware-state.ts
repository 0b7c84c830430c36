import type { CloudwareState } from './cloudware.js'

/** State in this process, one namespace a package; for tests and programs without a database. Gone with the process. */
export function memoryCloudwareState(): (packageName: string) => CloudwareState {
  const packages = new Map<string, CloudwareState>()
  return name => {
    const known = packages.get(name)
    if (known !== undefined) return known
    const state = stateOfOne()
    packages.set(name, state)
    return state
  }
}

function stateOfOne(): CloudwareState {
  // As text, so that nobody holds a reference to what is kept.
  const rows = new Map<string, string>()
  const seen = new Set<string>()
  const add = (key: string, by: number): number => {
    const sum = Number(rows.get(key) ?? 0) + by
    if (!Number.isSafeInteger(sum)) throw new RangeError(`${key} is not a safe integer`)
    rows.set(key, JSON.stringify(sum))
    return sum
  }
  return {
    async get(key) {
      const text = rows.get(key)
      return text === undefined ? undefined : JSON.parse(text)
    },
    async put(key, value) {
      rows.set(key, JSON.stringify(value ?? null))
    },
    async increment(key, by) {
      return add(key, by)
    },
    async incrementOnce(key, by, once) {
      const mark = JSON.stringify([key, once])
      const sum = add(key, seen.has(mark) ? 0 : by)
      seen.add(mark)
      return sum
    },
  }
}
