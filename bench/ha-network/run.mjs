// A frame of 256 bytes between two processes and back: our network over libp2p (noise, yamux) beside a bare TCP socket.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { figures } from '../load.mjs'

const rounds = 3
const kinds = ['raw', 'libp2p']

export async function bench({ say }) {
  const all = figures()
  for (let round = 1; round <= rounds; round++) {
    for (const kind of kinds) {
      const [near, far] = [await start(kind, 1), await start(kind, 2)]
      try {
        await near.ask('connect', { address: far.address })
        all.add(`memory ${kind} idle`, 'MiB', (await near.ask('memory')).rss)
        await near.ask('latency', { count: 500 })
        const { p50, p99 } = await near.ask('latency', { count: 3_000 })
        all.add(`round trip ${kind} p50`, 'us', p50)
        all.add(`round trip ${kind} p99`, 'us', p99)
        for (const window of [64, 1_024]) {
          const count = kind === 'raw' ? 200_000 : 60_000
          const { perSecond, cpuMicros } = await near.ask('pipelined', { count, window })
          all.add(`frames ${kind} window=${window}`, '1/s', perSecond)
          all.add(`cpu of the sender ${kind} window=${window}`, 'us/frame', cpuMicros)
        }
        all.add(`memory ${kind} after`, 'MiB', (await near.ask('memory')).rss)
      } finally {
        near.stop()
        far.stop()
      }
    }
    say(`round ${round}: done`)
  }
  const ratio = (name, better) =>
    all.ratio({ name: `${name} libp2p / raw`, of: name.replace('*', 'libp2p'), by: name.replace('*', 'raw'), better })
  return {
    rows: all.rows(),
    ratios: [
      ratio('round trip * p50', 'lower'),
      ratio('frames * window=64', 'higher'),
      ratio('frames * window=1024', 'higher'),
    ],
  }
}

async function start(kind, id) {
  const child = fork(fileURLToPath(new URL('end.mjs', import.meta.url)), [kind, String(id)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const answer = name =>
    new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error(`${kind} ${id} ended`)))
      child.on('message', function take(message) {
        if (message.ask !== name) return
        child.off('message', take)
        resolve(message)
      })
    })
  const { address } = await answer('ready')
  return {
    address,
    ask(name, how = {}) {
      const told = answer(name)
      child.send({ ask: name, ...how })
      return told
    },
    stop: () => child.kill(),
  }
}
