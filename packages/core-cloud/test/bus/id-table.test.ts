import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { IdTable } from '../../src/bus/id-table.js'

test('behaves as a map under any order of adding and releasing', async t => {
  const table = new IdTable<number>()
  const model = new Map<number, number>()
  const gone: number[] = []
  const random = seededRandom(11)
  for (let step = 0; step < 50_000; step++) {
    const ids = [...(step % 100 === 0 ? model.keys() : [])]
    if (random() < 0.55) {
      const id = table.add(step)
      if (id === 0 || model.has(id)) t.fail(`the id ${id} was given out twice`)
      model.set(id, step)
    } else {
      const [id] = ids.length > 0 ? [ids[Math.floor(random() * ids.length)]] : model.keys()
      if (id === undefined) continue
      if (table.release(id) !== model.get(id)) t.fail(`${id} held something else`)
      model.delete(id)
      gone.push(id)
    }
  }
  t.equal(table.size, model.size)
  t.same(new Map(table.entries()), model)
  for (const id of gone.slice(-1_000)) if (!model.has(id)) t.equal(table.get(id), undefined)
})

test('ids of others are kept within the limit', async t => {
  const table = new IdTable<string>()
  t.ok(table.put(7, 'seven', 10))
  t.notOk(table.put(7, 'again', 10), 'taken')
  t.notOk(table.put(7 + 2 ** 20, 'same place', 10))
  t.notOk(table.put(10, 'beyond', 10))
  t.equal(table.get(7 + 2 ** 20), undefined)
  t.equal(table.take(7), 'seven')
  t.equal(table.take(7), undefined)
  t.ok(table.put(0xfff0_0007, 'last', 10))
  t.equal(table.get(0xfff0_0007), 'last')
})
