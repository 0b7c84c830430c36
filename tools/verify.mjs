// npm run verify -- NAME [--json]: a demonstration on real parts. Exit code 0 or 1; its figures on the last line.
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const dir = fileURLToPath(new URL('verify/', import.meta.url))
const names = readdirSync(dir)
  .filter(name => name.endsWith('.mjs') && !name.startsWith('_'))
  .map(name => name.slice(0, -4))
const name = process.argv[2]
if (name === undefined || name === '--help' || !existsSync(`${dir}${name}.mjs`)) {
  console.error(`usage: npm run verify -- NAME [--json]\nNAME is one of: ${names.join(', ')}`)
  process.exit(name === '--help' ? 0 : 2)
}
const { verify } = await import(`./verify/${name}.mjs`)
const say = process.argv.includes('--json') ? () => undefined : line => console.log(line)
let result
try {
  result = await verify({ say })
} catch (error) {
  console.error(error)
  result = { ok: false, reason: String(error?.message ?? error) }
}
console.log(JSON.stringify({ name, ...result }))
process.exit(result.ok ? 0 : 1)
