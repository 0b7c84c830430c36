import assert from 'node:assert/strict'
import type { Delivery } from './stream.js'
import { bytes, type OnStreams, put, recorder, text } from './stream-suite-ends.js'

/** The promises about several members, bounds, order through failures, and leaving. */
export function streamMembersSuite(on: OnStreams): void {
  shareSuite(on)
  boundSuite(on)
  leaveSuite(on)
  closeSuite(on)
}

const count = (length: number): string[] => Array.from({ length }, (_, index) => String(index))

function shareSuite(on: OnStreams): void {
  on('members share the messages, consumers do not', async ({ near, far, name, make, eventually }) => {
    await make()
    const [one, two, other] = [recorder(), recorder(), recorder()]
    await near.consume(name, { name: 'shared' }, one.handler, { concurrency: 2 })
    await far.consume(name, { name: 'shared' }, two.handler, { concurrency: 2 })
    await far.consume(name, { name: 'other' }, other.handler)
    await Promise.all(count(200).map(each => put(near, `${name}.a`, each)))
    await eventually('all came', () => one.seen.length + two.seen.length >= 200 && other.seen.length >= 200)
    const both = [...one.texts(), ...two.texts()].map(Number).sort((a, b) => a - b)
    assert.deepEqual(both.map(String), count(200))
    assert.equal(other.seen.length, 200)
    assert.ok(one.seen.length > 0 && two.seen.length > 0, `${one.seen.length} and ${two.seen.length}`)
  })

  on('a consumer outlives its members', async ({ near, far, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, '1', '2')
    const first = recorder()
    const member = await near.consume(name, { name: 'c' }, first.handler)
    await eventually('two came', () => first.seen.length === 2)
    await member.drain()
    await put(near, `${name}.a`, '3')
    const second = recorder()
    await far.consume(name, { name: 'c', start: 'first' }, second.handler)
    await eventually('the third came', () => second.seen.length === 1)
    assert.deepEqual(second.texts(), ['3'])
  })

  on('a removed consumer begins anew', async ({ near, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, '1')
    for (let round = 0; round < 2; round++) {
      const { handler, seen } = recorder()
      const member = await near.consume(name, { name: 'c' }, handler)
      await eventually('it came', () => seen.length === 1)
      await member.drain()
      await near.removeConsumer(name, 'c')
    }
    await near.removeConsumer(name, 'c')
    await assert.rejects(near.consumerInfo(name, 'c'), { code: 'core.bus.unknown-stream' })
  })
}

function boundSuite(on: OnStreams): void {
  on('a member runs so many handlers at a time', async ({ near, name, make, eventually }) => {
    await make()
    const { handler, seen, release } = recorder({ hold: true })
    await near.consume(name, { name: 'c' }, handler, { concurrency: 3 })
    await Promise.all(count(10).map(each => put(near, `${name}.a`, each)))
    await eventually('three run', () => seen.length === 3)
    await near.info(name)
    assert.equal(seen.length, 3)
    seen[0]?.ack()
    release()
    await eventually('all ran', () => seen.length === 10)
  })

  on('so many messages may be unsettled over all members', async ({ near, far, name, make, eventually, passTime }) => {
    await make()
    const [one, two] = [recorder({ hold: true }), recorder({ hold: true })]
    const config = { name: 'c', maxUnsettled: 3 }
    await near.consume(name, config, one.handler)
    await far.consume(name, config, two.handler)
    await Promise.all(count(8).map(each => put(near, `${name}.a`, each)))
    const all = (): Delivery[] => [...one.seen, ...two.seen]
    await eventually('three came', () => all().length === 3)
    await passTime(50)
    assert.equal(all().length, 3)
    assert.equal((await near.consumerInfo(name, 'c')).unsettled, 3)
    assert.equal((await near.consumerInfo(name, 'c')).pending, 5)
    all()[0]?.ack()
    await eventually('a fourth came', () => all().length === 4)
    one.release()
    two.release()
    await eventually('all came', () => all().length === 8)
  })

  on('one unsettled at a time keeps the order even through failures', async ({ near, far, name, make, eventually }) => {
    await make()
    await Promise.all(count(12).map(each => put(near, `${name}.a`, each)))
    const seen: string[] = []
    let done = 0
    const handler = async (delivery: Delivery): Promise<void> => {
      seen.push(`${text(delivery)}/${delivery.attempt}`)
      await Promise.resolve()
      const wanted = Number(text(delivery)) % 3
      if (delivery.attempt <= wanted) {
        if (wanted === 1) throw new Error('fails once')
        delivery.nak({ delayMs: 5 })
        return
      }
      done += 1
    }
    const config = { name: 'c', maxUnsettled: 1, backoffMs: [10] }
    await near.consume(name, config, handler)
    await far.consume(name, config, handler)
    await eventually('all done', () => done === 12)
    const expected = count(12).flatMap(each =>
      Array.from({ length: 1 + (Number(each) % 3) }, (_, attempt) => `${each}/${attempt + 1}`),
    )
    assert.deepEqual(seen, expected)
  })
}

function leaveSuite(on: OnStreams): void {
  on('a member that stops finishes what runs and gives the rest back', async ends => {
    const { near, far, name, make, eventually } = ends
    await make()
    const first = recorder({ hold: true })
    const member = await near.consume(name, { name: 'c' }, first.handler, { concurrency: 1 })
    await Promise.all(count(6).map(each => put(near, `${name}.a`, each)))
    await eventually('one runs', () => first.seen.length === 1)
    let drained = false
    const draining = member.drain().then(() => {
      drained = true
    })
    const second = recorder()
    await far.consume(name, { name: 'c' }, second.handler)
    await eventually('the others came', () => second.seen.length === 5)
    assert.deepEqual([drained, first.seen.length, first.seen[0]?.signal.aborted], [false, 1, false])
    first.release()
    await draining
    const info = await near.consumerInfo(name, 'c')
    assert.deepEqual([info.pending, info.settledSequence], [0, 6])
    assert.equal(second.seen.length, 5)
  })
}

function closeSuite(on: OnStreams): void {
  on('drained streams still publish, closed ones say so', async ({ near, name, make, connect, eventually }) => {
    await make()
    const other = await connect()
    const { handler, seen } = recorder()
    await other.consume(name, { name: 'c' }, handler)
    await put(near, `${name}.a`, '1')
    await eventually('it came', () => seen.length === 1)
    await other.drain()
    assert.equal((await other.consumerInfo(name, 'c')).settledSequence, 1)
    await put(other, `${name}.a`, '2')
    assert.equal(seen.length, 1)
    await other[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    const stopped = { code: 'core.kernel.stopped' }
    await assert.rejects(other.publish(`${name}.a`, bytes('')), stopped)
    await assert.rejects(other.consume(name, { name: 'c' }, handler), stopped)
    await assert.rejects(other.info(name), stopped)
  })
}
