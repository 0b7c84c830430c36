import fc from 'fast-check'
import { test } from 'tap'
import { decodeHeaders, encodeHeaders, isHeaderBlock, noHeaders } from '../../src/bus/headers.js'

const name = fc.oneof(
  fc.constantFrom('traceparent', 'contract-version', 'tenant', 'actor', 'error', 'caller'),
  fc.stringMatching(/^[a-z0-9-]{1,64}$/).filter(text => !text.startsWith('aaas-')),
)
const value = fc
  .oneof(fc.string({ maxLength: 100 }), fc.string({ unit: 'grapheme', maxLength: 100 }))
  .map(text => text.replace(/[\r\n\0]/g, ''))

test('headers come back as they were, whatever they say', t => {
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 32 }), headers => {
      const block = encodeHeaders(headers)
      t.ok(isHeaderBlock(block))
      const back = decodeHeaders(block)
      t.strictSame({ ...back }, { ...headers })
    }),
    { numRuns: 300 },
  )
  t.end()
})

test('a block stays as it is when the next one is made', t => {
  const first = encodeHeaders({ tenant: 'first' })
  encodeHeaders({ tenant: 'other', actor: 'somebody' })
  t.equal(decodeHeaders(first).tenant, 'first')
  t.equal(encodeHeaders({}), noHeaders)
  t.equal(encodeHeaders(undefined), noHeaders)
  t.end()
})

test('names and values that could forge a line, and names of the bus, are refused', t => {
  for (const bad of ['', 'A', 'a b', 'ä', 'a:', 'aaas-deadline', 'x'.repeat(65)])
    t.throws(() => encodeHeaders({ [bad]: 'v' }), { code: 'core.bus.refused' }, JSON.stringify(bad))
  for (const bad of ['\n', 'a\r', '\0', 'ä\n', 'a\nä'])
    t.throws(
      () => encodeHeaders({ good: 'v', tenant: bad }),
      { code: 'core.bus.refused', field: 'headers/tenant' },
      JSON.stringify(bad),
    )
  t.end()
})

test('32 headers of together 16 KiB are possible, more are not', t => {
  const many = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`h${index}`, '']))
  const tooLarge = { code: 'core.contract.payload-too-large', field: 'headers' }
  t.equal(Object.keys(decodeHeaders(encodeHeaders(many(32)))).length, 32)
  t.throws(() => encodeHeaders(many(33)), tooLarge)
  for (const unit of ['x', 'ä']) {
    const bytes = Buffer.byteLength(unit)
    const fitting = unit.repeat(Math.floor((16_384 - 4) / bytes))
    t.equal(decodeHeaders(encodeHeaders({ a: fitting })).a, fitting)
    t.throws(() => encodeHeaders({ a: `${fitting}${unit}` }), tooLarge)
    t.throws(() => encodeHeaders({ a: 'b', c: fitting }), tooLarge)
  }
  t.end()
})
