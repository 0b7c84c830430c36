import pg from 'pg'

/** bigint, numeric and arrays of them; the driver would give text. */
const numberParsers: Readonly<Record<number, (text: string) => unknown>> = {
  20: safeInteger,
  // `sum` of bigints is numeric: a whole one must not lose its last digits silently. `infinity` does not occur.
  1700: text => (text.includes('.') || text === 'NaN' ? Number(text) : safeInteger(text)),
  1016: text => numberArray(text, safeInteger),
  1231: text => numberArray(text, Number),
}

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  const own = format === 'binary' ? undefined : numberParsers[oid]
  return own ?? (pg.types.getTypeParser(oid, (format ?? 'text') as 'text') as (value: string) => unknown)
}

/** The driver's parser of text arrays, which nests and knows NULL; its typings leave array types out. */
const textArray = pg.types.getTypeParser(1009 as Parameters<typeof pg.types.getTypeParser>[0], 'text') as (
  text: string,
) => unknown

function numberArray(text: string, parse: (item: string) => number): unknown {
  const convert = (item: unknown): unknown =>
    Array.isArray(item) ? item.map(convert) : typeof item === 'string' ? parse(item) : item
  return convert(textArray(text))
}

function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`integer ${text} is beyond the safe range`)
  return value
}

/** For the option `types` of a pool or client of `pg`: 64-bit integers and numerics arrive as `number`. */
export const pgTypes = { getTypeParser }
