import { systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import {
  checkedTraceparent,
  checkedTracestate,
  newTraceId,
  traceIdOf,
  traceparentOf,
} from '../../src/contract/index.js'
import { newTraceparent } from '../../src/contract/trace.js'

const trace = '0af7651916cd43dd8448eb211c80319c'
const span = 'b7ad6b7169203331'

// The cases are those of W3C Trace Context and of the working group's own test of implementations.
test('traceparent: what is well-formed is taken, and given back in version 00', async t => {
  const cases: readonly (readonly [string, string])[] = [
    [`00-${trace}-${span}-01`, `00-${trace}-${span}-01`],
    [`00-${trace}-${span}-00`, `00-${trace}-${span}-00`],
    [`00-${trace}-${span}-03`, `00-${trace}-${span}-03`],
    // Flags nobody knows are zero on the way out.
    [`00-${trace}-${span}-ff`, `00-${trace}-${span}-03`],
    [`00-${trace}-${span}-08`, `00-${trace}-${span}-00`],
    // Versions to come: the known part counts.
    [`cc-${trace}-${span}-01`, `00-${trace}-${span}-01`],
    [`cc-${trace}-${span}-01-what-the-future-will-be-like`, `00-${trace}-${span}-01`],
    [`cc-${trace}-${span}-01-`, `00-${trace}-${span}-01`],
  ]
  for (const [given, taken] of cases) t.equal(checkedTraceparent(given), taken, given)
  t.equal(traceIdOf(`00-${trace}-${span}-01`), trace)
})

test('traceparent: what is malformed counts as missing', async t => {
  const cases = [
    '',
    'nonsense',
    `00-${trace}-${span}`,
    `00-${trace}-${span}-1`,
    `00-${trace}-${span}-01-`,
    `00-${trace}-${span}-01-what-the-future-will-be-like`,
    `00-${trace}-${span}-011`,
    `cc-${trace}-${span}-01.what-the-future-will-not-be-like`,
    `ff-${trace}-${span}-01`,
    `.0-${trace}-${span}-01`,
    `0-${trace}-${span}-01`,
    `000-${trace}-${span}-01`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span.toUpperCase()}-01`,
    `00-.${trace.slice(1)}-${span}-01`,
    `00-${trace}-.${span.slice(1)}-01`,
    `00-${trace}-${span}-.0`,
    `00-${trace}-${span}-0.`,
    `00-${trace}ab-${span}-01`,
    ` 00-${trace}-${span}-01`,
    `00-${trace}-${span}-01,00-${trace}-${span}-01`,
    `00_${trace}_${span}_01`,
  ]
  for (const given of cases) t.equal(checkedTraceparent(given), undefined, given)
  t.equal(checkedTraceparent(undefined), undefined)
})

test('tracestate: members are kept in order, empty ones left out', async t => {
  const tenant = `${'t'.repeat(241)}@${'v'.repeat(14)}=1`
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['foo=1,bar=2', 'foo=1,bar=2'],
    ['foo=1 \t , \t bar=2, \t baz=3', 'foo=1,bar=2,baz=3'],
    ['foo=1,,bar=2,', 'foo=1,bar=2'],
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    ['fw529a3039@dt=FfAiBGDjCQ', 'fw529a3039@dt=FfAiBGDjCQ'],
    ['0a=1', '0a=1'],
    ['foo= 1 2', 'foo= 1 2'],
    [tenant, tenant],
    ['', undefined],
    [' , ', undefined],
    ['foo=1,foo=2', undefined],
    ['foo=', undefined],
    ['foo', undefined],
    ['foo =1', undefined],
    ['FOO=1', undefined],
    ['foo.bar=1', undefined],
    ['foo@=1,bar=2', undefined],
    ['@foo=1,bar=2', undefined],
    ['foo@@bar=1', undefined],
    ['foo@bar@baz=1', undefined],
    ['foo=bar=baz', undefined],
    ['foo=\u00e9', undefined],
    [`${'z'.repeat(257)}=1`, undefined],
    [`${'t'.repeat(242)}@v=1`, undefined],
    [`t@${'v'.repeat(15)}=1`, undefined],
  ]
  for (const [given, taken] of cases) t.equal(checkedTracestate(given), taken, given)
  const members = (count: number): string => Array.from({ length: count }, (_, index) => `k${index}=1`).join(',')
  t.equal(checkedTracestate(members(32)), members(32))
  t.equal(checkedTracestate(members(33)), undefined)
})

test('tracestate: over 512 characters, long members go first, then those at the end', async t => {
  const long = `long=${'x'.repeat(130)}`
  const short = Array.from({ length: 8 }, (_, index) => `s${index}=${'y'.repeat(56)}`)
  t.equal([...short, 'a=1'].join(',').length <= 512, true)
  t.equal(checkedTracestate([long, ...short].join(',')), short.join(','))
  const many = Array.from({ length: 10 }, (_, index) => `s${index}=${'y'.repeat(56)}`)
  const kept = checkedTracestate(many.join(','))
  t.ok((kept?.length ?? 0) <= 512)
  t.equal(kept, many.slice(0, 8).join(','))
})

test('what is made here is well-formed', async t => {
  const ids = systemIds()
  const made = newTraceId(ids)
  const traceparent = traceparentOf(made, ids)
  t.equal(checkedTraceparent(traceparent), traceparent)
  t.equal(traceparentOf('ABC', ids), undefined)
  const begun = newTraceparent(ids)
  t.match(begun, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  t.equal(checkedTraceparent(begun), begun)
  t.notOk(newTraceparent(ids) === begun)
  // The smallest random number there is: no word of an id may be all zero.
  t.equal(newTraceparent({ ...ids, random: () => 0 }), `00-${'00000001'.repeat(4)}-${'00000001'.repeat(2)}-01`)
  t.equal(newTraceparent({ ...ids, random: () => 1 - 2 ** -53 }), `00-${'f'.repeat(32)}-${'f'.repeat(16)}-01`)
})

test('each place of a header counts', async t => {
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  for (let at = 0; at < good.length; at++)
    for (const wrong of ['g', 'A', '/', ':', '`', ' '])
      t.equal(checkedTraceparent(`${good.slice(0, at)}${wrong}${good.slice(at + 1)}`), undefined, `${wrong} at ${at}`)
  t.equal(checkedTraceparent(`00-${'0'.repeat(32)}-b7ad6b7169203331-01`), undefined)
  t.equal(checkedTraceparent(`00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`), undefined)
})
