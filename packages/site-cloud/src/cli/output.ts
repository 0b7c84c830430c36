import { CloudError } from '@aaas/core-cloud/kernel'

/** Where a command writes; tests give their own. */
export interface Output {
  readonly json: boolean
  line(text: string): void
  error(text: string): void
}

/** What a command line ends with. Ctrl-C while waiting is 130, as shells expect it of SIGINT. */
export const exitCodes = { done: 0, failed: 1, wrongInput: 2, interrupted: 130 } as const

/** Prints a value as JSON, or whatever `people` makes of it. */
export function show<T>(output: Output, value: T, people: (value: T) => string): void {
  output.line(output.json ? JSON.stringify(value) : people(value))
}

/** Columns as wide as their widest cell; wide (East Asian) characters count as two. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map(row => displayWidth(row[column] ?? ''))))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(cell))))
      .join('  ')
      .trimEnd()
  return all.map(line).join('\n')
}

const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/

function displayWidth(text: string): number {
  let width = 0
  for (const char of text) width += wide.test(char) ? 2 : 1
  return width
}

/** Prints an error for a person, or as one JSON object on standard error. @returns the exit code. */
export function showError(output: Output, error: unknown): number {
  const cloud = CloudError.from(error)
  if (output.json) output.error(JSON.stringify({ error: cloud.toJSON() }))
  else {
    const where = cloud.field === undefined || cloud.field === '' ? '' : ` [${cloud.field}]`
    output.error(`error: ${cloud.message}${where} (${cloud.code})`)
    for (const row of problemRows(cloud)) output.error(`  ${row}`)
  }
  return exitCodeOf(cloud)
}

/** 400 and its like say that the same command can never work; everything else may at another time. */
function exitCodeOf(error: CloudError): number {
  if (error.code === 'core.contract.cancelled') return exitCodes.interrupted
  const inputIsWrong = [400, 413, 415].includes(error.status) || error.code === 'site.factory.impossible-performance'
  return inputIsWrong ? exitCodes.wrongInput : exitCodes.failed
}

/** Rows of an import that were refused, one line each. */
function problemRows(error: CloudError): string[] {
  const rows = error.details?.rows
  if (!Array.isArray(rows)) return []
  return rows.slice(0, 20).map(row => {
    const { row: number, field, reason } = row as { row?: number; field?: string; reason?: string }
    return `row ${number ?? '?'}, ${field ?? '?'}: ${reason ?? '?'}`
  })
}
