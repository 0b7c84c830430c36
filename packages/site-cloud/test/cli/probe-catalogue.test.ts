import { readFileSync } from 'node:fs'
import { test } from 'tap'
import { sampleCatalogue } from '../../src/cli/new-site.js'
import { probeCatalogue } from '../../src/cli/probe-catalogue.js'

test('a small catalogue becomes a large one of products of their own, with stock that lasts', async t => {
  const csv = 'slug,name_en,sku,price,stock\ncup,"Cup, ""big""",C-1,1.00,3\ncup,,C-2,1.00,0\n'
  t.equal(
    probeCatalogue(csv, 2),
    [
      'slug,name_en,sku,price,stock',
      'cup-1,"Cup, ""big""",C-1-1,1.00,100000000',
      'cup-1,,C-2-1,1.00,100000000',
      'cup-2,"Cup, ""big""",C-1-2,1.00,100000000',
      'cup-2,,C-2-2,1.00,100000000',
      '',
    ].join('\n'),
  )
  t.throws(() => probeCatalogue('slug,sku\n', 1), { code: 'site.template.unmeasurable' })
})

test('every row of the shipped sample keeps its columns', async t => {
  const sample = readFileSync(sampleCatalogue, 'utf8')
  const lines = probeCatalogue(sample, 2).trimEnd().split('\n')
  t.equal(lines.length, 1 + 2 * (sample.trimEnd().split('\n').length - 1))
  const commas = (line: string): number => line.replace(/"(?:[^"]|"")*"/g, '').split(',').length
  t.ok(lines.every(line => commas(line) === commas(lines[0] ?? '')))
})
