import { CloudError } from '@aaas/core-cloud/kernel'

const reserved = new Set(['postgres', 'template0', 'template1', 'public', 'none'])

/**
 * Quotes the name of a database or role for SQL.
 * @param name - lower-case letters, digits, `_` and `-`, a letter first, at most 63 characters; none of the server's own.
 * @throws CloudError `support.rdbms.invalid-name`.
 */
export function quotedName(name: string): string {
  if (!/^[a-z][a-z0-9_-]{0,62}$/.test(name) || name.startsWith('pg_') || reserved.has(name)) {
    throw new CloudError(
      'support.rdbms.invalid-name',
      `'${name.slice(0, 80)}' cannot be the name of a database or role`,
      { field: 'name' },
    )
  }
  return `"${name}"`
}

/** Quotes text for a place in SQL that takes no parameters (passwords, comments). */
export function quotedText(text: string): string {
  if (text.includes('\0')) throw new CloudError('support.rdbms.invalid-name', 'text with a NUL character')
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
