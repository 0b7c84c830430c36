import { type SearchDocument, sqliteSearchIndex } from '../../src/search/index.js'

// `build FILE SIZE` builds an index and ends; `hang FILE` begins a rebuild, says so, and never ends it.
const [mode, file = '', size = '0'] = process.argv.slice(2)
const index = sqliteSearchIndex({
  file,
  fields: { texts: { name: 2, text: 1 }, keywords: ['brand'], numbers: ['price'] },
})

async function* phones(): AsyncGenerator<readonly SearchDocument[]> {
  yield Array.from({ length: Number(size) }, (_, at) => ({ id: `d-${at}`, texts: { name: `手机壳 case ${at}` } }))
}

async function* endless(): AsyncGenerator<readonly SearchDocument[]> {
  yield [{ id: 'half', texts: { name: '一半' } }]
  process.send?.('inside')
  await new Promise(() => undefined)
}

if (mode === 'build') {
  await index.rebuild(phones(), { stamp: 's' })
  process.disconnect()
} else await index.rebuild(endless(), { stamp: 'never' })
