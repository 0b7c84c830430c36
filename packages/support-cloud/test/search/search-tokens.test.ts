import fc from 'fast-check'
import { test } from 'tap'
import { matchExpression } from '../../src/search/search-query.js'
import { Tokeniser } from '../../src/search/search-tokens.js'

const tokeniser = new Tokeniser()

test('an index has characters, pairs and words of Chinese', async t => {
  const tokens = tokeniser.indexTokens('手机壳')
  for (const token of ['手', '手机', '机壳', '壳', 'w手机']) t.ok(tokens.includes(token), token)
})

test('English is folded', async t => {
  const same = (a: string, b: string): void =>
    void t.same(tokeniser.queryWords(`${a} x`)[0], tokeniser.queryWords(`${b} x`)[0], `${a} = ${b}`)
  for (const [a, b] of [
    ['Cookies', 'cookie'],
    ['batteries', 'Battery'],
    ['dishes', 'dish'],
    ['boxes', 'box'],
    ['glasses', 'glass'],
    ['shoes', 'shoe'],
    ["women's", 'woman'],
    ['CAFÉ', 'cafe'],
    ['ｋｅｔｔｌｅ', 'kettle'],
    ['knives', 'knife'],
  ] as const) {
    same(a, b)
  }
  t.notSame(tokeniser.queryWords('bus x'), tokeniser.queryWords('bu x'))
  t.notSame(tokeniser.queryWords('glass x'), tokeniser.queryWords('glas x'))
})

test('the last word is open, a single letter is not', async t => {
  t.equal(matchExpression(tokeniser.queryWords('red ket')), '"red" AND "ket"*')
  t.equal(matchExpression(tokeniser.queryWords('red k')), '"red" AND "k"')
  t.equal(matchExpression(tokeniser.queryWords('kettles')), '("kettle" OR "kettles"*)')
})

test('user words stay whole', async t => {
  const own = new Tokeniser(['波司登', '羽绒服'])
  t.ok(own.indexTokens('波司登羽绒服').includes('w波司登'))
  t.ok(own.indexTokens('波司登羽绒服').includes('w羽绒服'))
  t.equal(
    matchExpression(own.queryWords('波司登羽绒服')),
    '(("波司" AND "司登") OR "w波司登") AND (("羽绒" AND "绒服") OR "w羽绒服")',
  )
})

test('particles do not have to match unless there is nothing else', async t => {
  t.notMatch(matchExpression(tokeniser.queryWords('红色的杯子')), /"的"/)
  t.equal(matchExpression(tokeniser.queryWords('the')), '"the"*')
  t.equal(matchExpression(tokeniser.queryWords('的')), '"的"')
})

test('every word of a text finds the text', async t => {
  const word = fc.oneof(
    fc.stringMatching(/^[\u4e00-\u9fa5]{1,6}$/),
    fc.stringMatching(/^[A-Za-z]{1,10}$/),
    fc.stringMatching(/^[A-Za-z]{1,4}-?[0-9]{1,3}(\.[0-9])?$/),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
  )
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), fc.nat(), (words, pick) => {
      const tokens = tokeniser.indexTokens(words.join(' '))
      const have = new Set(tokens)
      for (const group of tokeniser.queryWords(words[pick % words.length] ?? '')) {
        const found = group.some(terms =>
          terms.every(
            ({ token, prefix }) =>
              have.has(token) || (prefix === true && tokens.some(other => other.startsWith(token))),
          ),
        )
        if (!found) return false
      }
      return true
    }),
    { numRuns: 1_000 },
  )
})

test('tokens are letters, digits and underscores, whatever the text', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), text =>
      [
        ...tokeniser.indexTokens(text),
        ...tokeniser.queryWords(text).flatMap(word => word.flat().map(term => term.token)),
      ].every(token => /^[\p{L}\p{N}_]+$/u.test(token)),
    ),
    { numRuns: 1_000 },
  )
})
