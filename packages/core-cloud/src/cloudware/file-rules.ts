/** Which paths of a folder go into a package. Paths are relative, with `/`. */
export interface FileRules {
  /** True for what is left out even when `files` names it. */
  never(path: string): boolean
  /** True when a file is packed. */
  takes(path: string): boolean
}

/** Secrets, version control and what a package never ships. */
const neverName = /^(node_modules|\.git|\.npmrc|\.env(\..*)?|\.DS_Store)$/
/** Of the root: what an earlier build and signature left there would change the next one. */
const earlierBuild = /^[^/]+\.(tgz|sig\.json)$/
/** Of the root, whatever `files` says, as npm does. */
const always = /^(package\.json|readme(\.[^/]*)?|licen[cs]e(\.[^/]*)?)$/i

/**
 * Rules from the `files` field of package.json: names of files or folders and globs with `*`, `**` and `?`; a leading `!`
 * takes out again, and the last entry that fits decides. Absent or empty: everything.
 */
export function fileRules(files: unknown): FileRules {
  const entries = Array.isArray(files) ? files.filter(entry => typeof entry === 'string').map(entryRule) : []
  return {
    never: path => neverName.test(path.slice(path.lastIndexOf('/') + 1)) || earlierBuild.test(path),
    takes(path) {
      if (entries.length === 0 || always.test(path)) return true
      return entries.findLast(entry => entry.pattern.test(path))?.takes ?? false
    },
  }
}

function entryRule(entry: string): { readonly takes: boolean; readonly pattern: RegExp } {
  const takes = !entry.startsWith('!')
  const glob = (takes ? entry : entry.slice(1)).replace(/^(\.?\/)+/, '').replace(/\/+$/, '')
  let source = ''
  for (let at = 0; at < glob.length; at++) {
    const rest = glob.slice(at)
    if (rest.startsWith('**/')) {
      source += '(?:[^/]+/)*'
      at += 2
    } else if (rest.startsWith('**')) {
      source += '.*'
      at += 1
    } else if (rest.startsWith('*')) source += '[^/]*'
    else if (rest.startsWith('?')) source += '[^/]'
    else source += rest.charAt(0).replace(/[\\^$.*+?()[\]{}|]/, '\\$&')
  }
  // A folder's name takes everything below it; `.` takes everything.
  return { takes, pattern: new RegExp(glob === '' || glob === '.' ? '^' : `^${source}(?:/.*)?$`) }
}
