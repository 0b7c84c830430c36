// Writes docs/errors.md from the code union, or with --check fails when the page is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { errorCodes } from '../packages/core-cloud/dist/src/kernel/index.js'

const page = fileURLToPath(new URL('../docs/errors.md', import.meta.url))
const names = {
  core: 'Core cloud',
  support: 'Support cloud',
  access: 'Access cloud',
  business: 'Business cloud',
  site: 'Site cloud',
}
let text = `# Errors

Every error the platform throws on purpose is a \`CloudError\` with one of these codes; match on the code, never on the
message. The HTTP status is that of the open API. "Retry" says that the same call may succeed later without a change.
This page is generated from \`packages/core-cloud/src/kernel/error-codes/\` by \`node tools/errors-page.mjs\`.
`
for (const [layer, title] of Object.entries(names)) {
  text += `\n## ${title}\n\n| code | status | retry | meaning |\n|---|---|---|---|\n`
  for (const [code, entry] of Object.entries(errorCodes)) {
    if (code.startsWith(`${layer}.`))
      text += `| \`${code}\` | ${entry.status} | ${entry.retryable ? 'yes' : ''} | ${entry.text} |\n`
  }
}
if (process.argv.includes('--check')) {
  let current = ''
  try {
    current = readFileSync(page, 'utf8')
  } catch {}
  if (current !== text) {
    console.error('docs/errors.md is stale: run node tools/errors-page.mjs')
    process.exit(1)
  }
} else writeFileSync(page, text)
