import fc from 'fast-check'
import { test } from 'tap'
import { coveredBy, covers, isPattern, isSubject } from '../../src/bus/subject.js'
import { SubjectIndex } from '../../src/bus/subject-index.js'

const token = fc.constantFrom('a', 'b', 'c')
const subject = fc.array(token, { minLength: 1, maxLength: 4 }).map(tokens => tokens.join('.'))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { minLength: 0, maxLength: 4 }), fc.boolean())
  .filter(([tokens, rest]) => rest || tokens.length > 0)
  .map(([tokens, rest]) => [...tokens, ...(rest ? ['>'] : [])].join('.'))

/** Every subject of up to five tokens of a small alphabet. */
const universe: readonly string[] = (() => {
  const all: string[] = []
  let last: string[] = ['']
  for (let length = 1; length <= 5; length++) {
    last = last.flatMap(prefix => ['a', 'b', 'c', 'd'].map(next => (prefix === '' ? next : `${prefix}.${next}`)))
    all.push(...last)
  }
  return all
})()

/** Matching said in another way: as a regular expression. */
function matches(form: string, text: string): boolean {
  const source = form.split('.').map(part => (part === '>' ? '.+' : part === '*' ? '[^.]+' : part))
  return new RegExp(`^${source.join('\\.')}$`).test(text)
}

test('matching agrees with a dumb model', async () => {
  fc.assert(
    fc.property(pattern, subject, (form, text) => covers(form, text) === matches(form, text)),
    { numRuns: 2_000 },
  )
})

test('a pattern is allowed exactly when everything it stands for is', async () => {
  fc.assert(
    fc.property(pattern, pattern, (allowed, wanted) => {
      const all = universe.filter(text => matches(wanted, text)).every(text => matches(allowed, text))
      return covers(allowed, wanted) === all
    }),
    { numRuns: 500 },
  )
})

test('the index finds what matching finds, after any additions and removals', async () => {
  const step = fc.record({ form: pattern, remove: fc.boolean() })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30 }),
      fc.array(subject, { minLength: 1, maxLength: 5 }),
      (steps, subjects) => {
        const index = new SubjectIndex<{ form: string }>()
        const present: { form: string }[] = []
        for (const { form, remove } of steps) {
          const at = present.findIndex(entry => entry.form === form)
          if (remove && at >= 0) index.remove(form, present.splice(at, 1)[0]!)
          else {
            const entry = { form }
            present.push(entry)
            index.add(form, entry)
          }
        }
        return subjects.every(text => {
          const found = new Set(index.match(text))
          const expected = present.filter(({ form }) => matches(form, text))
          return found.size === expected.length && expected.every(entry => found.has(entry))
        })
      },
    ),
    { numRuns: 500 },
  )
})

test('forms', async t => {
  for (const text of ['a', 'A-b_9', 'a.b', 'x'.repeat(255)]) t.ok(isSubject(text) && isPattern(text), text)
  for (const text of ['*', '>', 'a.*', 'a.>', '*.>']) t.ok(!isSubject(text) && isPattern(text), text)
  for (const text of ['', '.', 'a.', '.a', 'a..b', '>.a', 'a.>.b', 'a>', 'a b', 'ä', 'x'.repeat(256)])
    t.notOk(isPattern(text), text)
  t.ok(coveredBy(['x.>', 'a.*'], 'a.b'))
  t.notOk(coveredBy([], 'a'))
})
