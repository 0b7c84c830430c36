import type { Ids } from '@aaas/core-cloud/kernel'

/**
 * Makes public order numbers such as `20261120-7F3K9Q2M`: the shop's date, so that people can sort and talk about them,
 * and 40 random bits, so that nobody can guess one. A repeat within a day is refused by the database and made again.
 * @param timeZone - IANA name.
 */
export function orderNumbers(ids: Ids, timeZone: string): (atMs: number) => string {
  // The Canadian form is year-month-day.
  const date = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' })
  let day = { start: 0, text: '' }
  return atMs => {
    // Formatting is slow; one date is good for the rest of its quarter of an hour (time zones change on those).
    const start = atMs - (atMs % 900_000)
    if (day.start !== start || day.text === '') day = { start, text: date.format(start).replaceAll('-', '') }
    return `${day.text}-${ids.token(5).slice(0, 8).toUpperCase()}`
  }
}

/** The payment of an order at the gateway; one for the life of the order. */
export function paymentIdOf(number: string): string {
  return `pay-${number}`
}
