import type { Language } from '@aaas/business-cloud/catalogue'

const fractions = new Map<string, number>()
const money = new Map<string, Intl.NumberFormat>()
const times = new Map<string, Intl.DateTimeFormat>()

/** Digits after the point of a currency: 2 for CNY, 0 for JPY. */
function fractionDigits(currency: string): number {
  let digits = fractions.get(currency)
  if (digits === undefined) {
    digits = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
    fractions.set(currency, digits)
  }
  return digits
}

/** Minor units as a plain decimal such as `1299.00`, exact for every safe integer. */
export function decimalAmount(amount: number, currency: string): string {
  const digits = fractionDigits(currency)
  const text = String(Math.abs(amount)).padStart(digits + 1, '0')
  const sign = amount < 0 ? '-' : ''
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`
}

/** Minor units as buyers read them: `¥1,299.00`. */
export function formatMoney(amount: number, currency: string, language: Language): string {
  const key = `${language} ${currency}`
  let format = money.get(key)
  if (format === undefined) {
    format = new Intl.NumberFormat(language, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' })
    money.set(key, format)
  }
  // Intl formats a decimal string exactly, where amount / 100 would go through a float.
  return format.format(decimalAmount(amount, currency) as `${number}`)
}

/** Epoch milliseconds as a date with time in the shop's zone. */
export function formatTime(at: number, timeZone: string, language: Language): string {
  const key = `${language} ${timeZone}`
  let format = times.get(key)
  if (format === undefined) {
    format = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', timeZone })
    times.set(key, format)
  }
  return format.format(at)
}
