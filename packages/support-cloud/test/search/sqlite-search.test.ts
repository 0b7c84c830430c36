import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteSearchIndex } from '@aaas/support-cloud/search'
import { searchSuite, searchSuiteFields } from '@aaas/support-cloud/search/suite'
import { after, test } from 'tap'

const folder = mkdtempSync(join(tmpdir(), 'aaas-search-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let count = 0

searchSuite(
  (name, fn) => test(`in memory: ${name}`, fn),
  async () => ({ index: sqliteSearchIndex({ file: ':memory:', fields: searchSuiteFields }) }),
)
searchSuite(
  (name, fn) => test(`on disk: ${name}`, fn),
  async () => {
    count += 1
    return { index: sqliteSearchIndex({ file: join(folder, `${count}.db`), fields: searchSuiteFields }) }
  },
)
