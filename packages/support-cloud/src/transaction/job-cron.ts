import { CloudError } from '@aaas/core-cloud/kernel'

/** A parsed schedule: for each field the numbers that fit. */
export interface Cron {
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly weekdays: ReadonlySet<number>
  /** Both kinds of day are restricted: either is enough. */
  readonly eitherDay: boolean
}

const fields = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12 },
  { name: 'day of the week', least: 0, most: 7 },
] as const

/** @throws CloudError `core.contract.invalid-input` that names the part, also for a day that never comes. */
export function parseCron(text: string): Cron {
  const parts = text.trim().split(/\s+/)
  if (text.length > 200 || parts.length !== 5) throw invalid('must have five fields')
  const [minutes = [], hours = [], days = [], months = [], weekdays = []] = parts.map(parseField)
  const cron: Cron = {
    minutes,
    hours,
    days: new Set(days),
    months: new Set(months),
    weekdays: new Set(weekdays.map(day => day % 7)),
    eitherDay: parts[2] !== '*' && parts[4] !== '*',
  }
  if (nextTime(cron, 0) === undefined) throw invalid('names a day that never comes')
  return cron
}

function parseField(text: string, index: number): number[] {
  const field = fields[index]
  if (field === undefined) throw invalid('has too many fields')
  const found = new Set<number>()
  for (const item of text.split(',')) {
    const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(item)
    if (match === null) throw invalid(`has no ${field.name} in ${JSON.stringify(item)}`)
    const [, from, to, every] = match
    const first = from === undefined ? field.least : Number(from)
    // A single number with a step goes on to the end of the field.
    const last = to !== undefined ? Number(to) : from === undefined || every !== undefined ? field.most : first
    const step = every === undefined ? 1 : Number(every)
    if (first < field.least || last > field.most || first > last || step < 1) {
      throw invalid(`${field.name} ${item} is not within ${field.least} to ${field.most}`)
    }
    for (let value = first; value <= last; value += step) found.add(value)
  }
  return [...found].sort((a, b) => a - b)
}

const dayMs = 86_400_000
/** Eight years without a 29 February happen around the turn of some centuries. */
const farthestDays = 366 * 9

/** The first time after `after` (epoch milliseconds, UTC), or undefined when there is none within nine years. */
export function nextTime(cron: Cron, after: number): number | undefined {
  const from = Math.floor(after / 60_000) * 60_000 + 60_000
  const firstDay = Math.floor(from / dayMs) * dayMs
  for (let day = firstDay; day <= firstDay + farthestDays * dayMs; day += dayMs) {
    if (!fitsDay(cron, new Date(day))) continue
    for (const hour of cron.hours) {
      for (const minute of cron.minutes) {
        const at = day + hour * 3_600_000 + minute * 60_000
        if (at >= from) return at
      }
    }
  }
  return undefined
}

function fitsDay(cron: Cron, date: Date): boolean {
  if (!cron.months.has(date.getUTCMonth() + 1)) return false
  const byDay = cron.days.has(date.getUTCDate())
  const byWeekday = cron.weekdays.has(date.getUTCDay())
  return cron.eitherDay ? byDay || byWeekday : byDay && byWeekday
}

function invalid(why: string): CloudError {
  return new CloudError('core.contract.invalid-input', `cron ${why}`, { field: 'cron' })
}
