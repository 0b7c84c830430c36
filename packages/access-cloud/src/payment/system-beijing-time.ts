const offsetMs = 8 * 3_600_000

/** `yyyy-MM-dd HH:mm:ss` in China's time (UTC+8 all year), cut to the second: the form Alipay writes times in. */
export function beijingTime(epochMs: number): string {
  return new Date(epochMs + offsetMs).toISOString().slice(0, 19).replace('T', ' ')
}

/** @returns epoch milliseconds, or undefined when the text is not such a time. */
export function parseBeijingTime(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(text)) return undefined
  const ms = Date.parse(`${text.slice(0, 19).replace(' ', 'T')}+08:00`)
  return Number.isNaN(ms) ? undefined : ms
}
