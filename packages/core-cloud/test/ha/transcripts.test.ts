import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { Transcript } from './transcript.js'

const folder = fileURLToPath(new URL('../../../test/ha/transcripts/', import.meta.url))
// For whoever changed the core on purpose: writes what happens now; read the difference before you commit it.
const rewrite = process.env.AAAS_REWRITE_TRANSCRIPTS === '1'

for (const name of readdirSync(folder).filter(file => file.endsWith('.txt'))) {
  test(`transcript ${name}`, async () => {
    const script = readFileSync(`${folder}${name}`, 'utf8')
    const transcript = new Transcript()
    const lines = script.split('\n').filter(line => line === '' || line.startsWith('#') || line.startsWith('>'))
    const told = lines.flatMap(line =>
      line.startsWith('>') ? [line, ...transcript.run(line.slice(1)).map(text => `  ${text}`)] : [line],
    )
    if (rewrite) writeFileSync(`${folder}${name}`, told.join('\n'))
    else assert.equal(told.join('\n'), script)
  })
}
