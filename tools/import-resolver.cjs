// Tells eslint-plugin-boundaries where an import leads: the sources of this repository. Everything else is of no interest.
const { existsSync } = require('node:fs')
const { dirname, join, resolve } = require('node:path')

const packages = join(__dirname, '..', 'packages')
const lost = { found: false }

exports.interfaceVersion = 2
exports.resolve = (source, file) => {
  if (source.startsWith('.')) {
    const path = resolve(dirname(file), source).replace(/\.js$/, '.ts')
    return existsSync(path) ? { found: true, path } : lost
  }
  const [, name, system = ''] = /^@aaas\/([^/]+)\/?([^/]*)/.exec(source) ?? []
  if (name === undefined) return lost
  const path = join(packages, name, 'src', system, 'index.ts')
  return existsSync(path) ? { found: true, path } : lost
}
