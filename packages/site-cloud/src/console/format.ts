import type { Language } from './texts/texts.js'

/** A whole number with its thousands separated. */
export function count(value: number, language: Language): string {
  return value.toLocaleString(language)
}

/** Minor units as an amount of a currency. */
export function money(amount: number, currency: string, language: Language): string {
  const format = new Intl.NumberFormat(language, { style: 'currency', currency })
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}

const steps = [
  { unit: 'TB', size: 1024 ** 4 },
  { unit: 'GB', size: 1024 ** 3 },
  { unit: 'MB', size: 1024 ** 2 },
  { unit: 'KB', size: 1024 },
] as const

/** Bytes in the largest unit that leaves at least one before the point. */
export function bytes(value: number): string {
  const step = steps.find(one => value >= one.size)
  if (step === undefined) return `${value} B`
  const scaled = value / step.size
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${step.unit}`
}

/** Milliseconds for a person: `0.8 s`, `12 min`, `3.4 h`, `2.1 d`. */
export function duration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`
  return `${(seconds / 86_400).toFixed(1)} d`
}
