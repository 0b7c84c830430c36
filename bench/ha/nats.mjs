// A key/value bucket with three replicas on three private NATS servers. Its acknowledgement means that a majority has
// the value in memory of the operating system, not on the disk: it is reported, and compared with nobody's target.
import { connect } from '@nats-io/transport-node'
import { findTestEngine, startNats } from '../../packages/testing/dist/src/index.js'

export async function natsKeyValue(atEnd, say) {
  const engine = findTestEngine('nats')
  if ('skip' in engine) {
    say(`NATS is left out: ${engine.skip}`)
    return undefined
  }
  const servers = await startNats({ program: engine.path, count: 3 })
  atEnd(() => servers[Symbol.asyncDispose]())
  const connection = await connect({ servers: [...servers.urls] })
  atEnd(() => connection.close())
  const bucket = {
    name: 'KV_bench',
    subjects: ['$KV.bench.>'],
    num_replicas: 3,
    max_msgs_per_subject: 1,
    storage: 'file',
    discard: 'new',
    allow_rollup_hdrs: true,
    deny_delete: true,
  }
  await create(connection, bucket)
  const value = Buffer.alloc(256, 'x')
  const send = {
    async put(key) {
      const answer = (await connection.request(`$KV.bench.${key}`, value, { timeout: 5_000 })).json()
      if (answer.error !== undefined) throw new Error(answer.error.description)
    },
    async get(key) {
      const question = JSON.stringify({ last_by_subj: `$KV.bench.${key}` })
      await connection.request('$JS.API.STREAM.MSG.GET.KV_bench', question, { timeout: 5_000 })
    },
  }
  return { label: 'nats r3 (not synced)', open: () => ({ send, close: () => undefined }) }
}

/** The servers find together some time after they are healthy. */
async function create(connection, bucket) {
  const end = performance.now() + 20_000
  for (;;) {
    const answer = await connection
      .request(`$JS.API.STREAM.CREATE.${bucket.name}`, JSON.stringify(bucket), { timeout: 2_000 })
      .then(message => message.json())
      .catch(error => ({ error: { description: String(error) } }))
    if (answer.error === undefined) return
    if (performance.now() > end) throw new Error(answer.error.description)
    await new Promise(resolve => setTimeout(resolve, 200))
  }
}
