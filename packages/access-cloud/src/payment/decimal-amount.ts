/** `1234` is `12.34`. Exact: no floating point is involved. */
export function minorToDecimal(minor: number): string {
  if (!Number.isSafeInteger(minor) || minor < 0) throw new RangeError('an amount is a non-negative safe integer')
  const digits = String(minor).padStart(3, '0')
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** `12.3` is `1230`. @returns undefined for anything but up to 12 digits with at most two decimals. */
export function decimalToMinor(text: unknown): number | undefined {
  const match = typeof text === 'string' ? /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text) : null
  if (match === null) return undefined
  return Number(`${match[1]}${(match[2] ?? '').padEnd(2, '0')}`)
}
