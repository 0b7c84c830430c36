import { test } from 'tap'
import { BoundedMap } from '../../src/cache/index.js'

test('what was not asked for lately leaves first', async t => {
  const map = new BoundedMap<string>(30)
  for (const key of ['a', 'b', 'c']) map.set(key, key, 10)
  t.equal(map.bytes, 30, 'the limit itself fits')
  t.equal(map.get('a'), 'a')
  map.set('d', 'd', 1)
  t.equal(map.get('b'), undefined)
  t.same([map.get('a'), map.get('c'), map.get('d')], ['a', 'c', 'd'])
  t.equal(map.bytes, 21)
  map.set('e', 'e', 30)
  t.same([map.get('a'), map.get('c'), map.get('d')], [undefined, undefined, undefined], 'used or not, room is made')
  t.equal(map.get('e'), 'e')
  t.equal(map.bytes, 30)
})

test('a value is replaced with its bytes, and one over the limit is not kept', async t => {
  const map = new BoundedMap<number>(30)
  map.set('a', 1, 20)
  map.set('a', 2, 25)
  t.equal(map.bytes, 25)
  t.equal(map.get('a'), 2)
  map.set('a', 3, 31)
  t.equal(map.get('a'), undefined, 'nor is what it replaced')
  t.equal(map.bytes, 0)
  map.delete('a')
  t.equal(map.bytes, 0)
})
