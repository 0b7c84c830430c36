// npm run bench -- NAME [--json FILE]: ourselves, the floors and the peers interleaved in one run; medians and ratios.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const dir = fileURLToPath(new URL('../bench/', import.meta.url))
const names = readdirSync(dir, { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  .map(entry => entry.name)
const [name, ...rest] = process.argv.slice(2)
if (name === undefined || name === '--help' || !existsSync(`${dir}${name}/run.mjs`)) {
  console.error(`usage: npm run bench -- NAME [--json FILE]\nNAME is one of: ${names.join(', ')}`)
  process.exit(name === '--help' ? 0 : 2)
}
const { bench } = await import(`../bench/${name}/run.mjs`)
const { rows, ratios } = await bench({ say: line => console.log(line), args: rest })
const report = { name, node: process.version, cpus: cpus().length, rows, ratios }
for (const row of rows)
  console.log(
    `${row.name.padEnd(48)} ${String(row.median).padStart(10)} ${row.unit}  (${row.min} to ${row.max}, n=${row.n})`,
  )
let met = true
for (const ratio of ratios) {
  if (ratio.must === undefined) {
    console.log(`       ${ratio.name}: ${ratio.value}`)
    continue
  }
  const ok = ratio.better === 'higher' ? ratio.value >= ratio.must : ratio.value <= ratio.must
  met &&= ok
  console.log(
    `${ok ? 'met   ' : 'MISSED'} ${ratio.name}: ${ratio.value} (must be ${ratio.better === 'higher' ? 'at least' : 'at most'} ${ratio.must})`,
  )
}
const at = rest.indexOf('--json')
if (at >= 0 && rest[at + 1]) {
  const file = resolve(rest[at + 1])
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
}
process.exit(met ? 0 : 1)
