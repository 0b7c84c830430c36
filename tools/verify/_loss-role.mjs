// One producer or consumer of the scenario of lost messages; killed at any moment, and started again.
import { appendFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'

const [, , role, text] = process.argv
const settings = JSON.parse(text)
const { connect } = await import(settings.module)
const streams = await connect(settings.driver, `${role}-${settings.name}-${process.pid}`)
process.on('disconnect', () => process.exit(0))
if (role === 'producer') void produce()
else if (role === 'consumer') void consume()
else if (role === 'ordered') void consumeInOrder()
process.send('ready')

/**
 * Each key waits for its acknowledgement before its next message; all keys are under way at once, as far as the parent
 * allows. What was acknowledged is in a journal.
 */
async function produce() {
  const { journal, keys, perKey, stream } = settings
  const done = new Map(keys.map(key => [key, 0]))
  // A line that the killed process had not written to its end counts as not written: its message is sent once more.
  const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').slice(0, -1) : []
  for (const line of lines) {
    const [key, n] = line.split(' ')
    if (done.has(key)) done.set(key, Math.max(done.get(key), Number(n)))
  }
  appendFileSync(journal, '\n')
  const allowed = allowance()
  const send = async key => {
    for (let n = done.get(key) + 1; n <= perKey; n++) {
      await allowed(n)
      const payload = Buffer.from(JSON.stringify({ key, n }))
      for (;;) {
        try {
          const ack = await streams.publish(`${stream}.${key}`, payload, { messageId: `${key}-${n}` })
          appendFileSync(journal, `${key} ${n} ${ack.sequence}\n`)
          break
        } catch (error) {
          if (!error.retryable) throw error
          await new Promise(resolve => setTimeout(resolve, 20))
        }
      }
    }
  }
  await Promise.all(keys.map(send))
  process.send('done')
}

/** @returns waits until the parent lets every key go up to a number. */
function allowance() {
  let upTo = 0
  let waiting = []
  process.on('message', message => {
    upTo = message.upTo
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  })
  return async n => {
    while (n > upTo) await new Promise(resolve => waiting.push(resolve))
  }
}

/**
 * The effect of a message is a symbolic link named by its sequence that points at what it said. The system makes it
 * whole and once or says that it is there: the inbox of all consumers together, and proof of who applied it.
 */
async function consume() {
  const { inbox, stream } = settings
  const made = new Set()
  const config = { name: 'applied', ackWaitMs: 10_000, maxDeliveries: 1_000, maxUnsettled: 2_048 }
  await joinUntilThere(stream, config, 256, delivery => {
    const folder = `${inbox}/${Math.floor(delivery.sequence / 1_000)}`
    if (!made.has(folder)) mkdirSync(folder, { recursive: true })
    made.add(folder)
    try {
      symlinkSync(Buffer.from(delivery.payload), `${folder}/${delivery.sequence}`)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      appendFileSync(`${inbox}/repeated`, `${delivery.sequence}\n`)
    }
  })
}

/** One key, one message at a time: the order of what is applied is promised. */
async function consumeInOrder() {
  const { inbox, stream, key } = settings
  const config = {
    name: 'ordered',
    filter: [`${stream}.${key}`],
    maxUnsettled: 1,
    ackWaitMs: 10_000,
    maxDeliveries: 1_000,
  }
  await joinUntilThere(stream, config, 1, delivery => {
    appendFileSync(
      `${inbox}/ordered`,
      `${delivery.sequence} ${JSON.parse(Buffer.from(delivery.payload).toString()).n}\n`,
    )
  })
}

async function joinUntilThere(stream, config, concurrency, handler) {
  for (;;) {
    try {
      return await streams.consume(stream, config, handler, { concurrency })
    } catch (error) {
      if (!error.retryable) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}
