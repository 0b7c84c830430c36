import { isAbsolute, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CloudError } from '../kernel/errors.js'
import type { Program } from './program.js'

/**
 * Imports the entry of an unpacked package. Runs package code: only for a process of the site's own.
 * @throws CloudError `core.cloudware.invalid-package` when the entry lies outside, cannot be loaded or exports no program.
 */
export async function loadProgram(packageDir: string, entry: string): Promise<Program> {
  const path = resolve(packageDir, entry)
  const inside = relative(packageDir, path)
  if (inside.startsWith('..') || isAbsolute(inside)) {
    throw new CloudError('core.cloudware.invalid-package', `the entry '${entry}' lies outside the package`, {
      field: 'aaas/entry',
    })
  }
  let loaded: { readonly program?: Partial<Program> }
  try {
    loaded = (await import(pathToFileURL(path).href)) as { readonly program?: Partial<Program> }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new CloudError('core.cloudware.invalid-package', `the entry '${entry}' cannot be loaded: ${text}`, {
      cause: error,
    })
  }
  const { program } = loaded
  if (typeof program?.start !== 'function') {
    throw new CloudError(
      'core.cloudware.invalid-package',
      `the entry '${entry}' exports no program with a start method`,
    )
  }
  return program as Program
}
