// One producer or consumer of the scenario of lost messages; killed at any moment, and started again.
import { appendFileSync, existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'

const [, , role, text] = process.argv
const settings = JSON.parse(text)
const { connect } = await import(settings.module)
const streams = await connect(settings.driver, `${role}-${settings.name}-${process.pid}`)
process.on('disconnect', () => process.exit(0))
if (role === 'producer') void produce()
else if (role === 'consumer') void consume()
else if (role === 'ordered') void consumeInOrder()
process.send('ready')

/** Each key waits for its acknowledgement before its next message. What was acknowledged is in a journal. */
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
  const send = async key => {
    for (let n = done.get(key) + 1; n <= perKey; n++) {
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

/**
 * The effect of a message is a file with the sequence as its name. `link` makes it at once or says that it is there:
 * the inbox of all consumers together, and proof of who applied it.
 */
async function consume() {
  const { inbox, stream, name } = settings
  const draft = `${inbox}/draft-${name}-${process.pid}`
  await joinUntilThere(stream, { name: 'applied', ackWaitMs: 10_000, maxDeliveries: 1_000 }, delivery => {
    const folder = `${inbox}/${Math.floor(delivery.sequence / 1_000)}`
    mkdirSync(folder, { recursive: true })
    writeFileSync(draft, delivery.payload)
    try {
      linkSync(draft, `${folder}/${delivery.sequence}`)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      appendFileSync(`${inbox}/repeated`, `${delivery.sequence}\n`)
    }
    unlinkSync(draft)
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
  await joinUntilThere(stream, config, delivery => {
    appendFileSync(
      `${inbox}/ordered`,
      `${delivery.sequence} ${JSON.parse(Buffer.from(delivery.payload).toString()).n}\n`,
    )
  })
}

async function joinUntilThere(stream, config, handler) {
  for (;;) {
    try {
      return await streams.consume(stream, config, handler, { concurrency: 32 })
    } catch (error) {
      if (!error.retryable) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}
