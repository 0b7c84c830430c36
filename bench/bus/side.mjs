// One process of a pair: `side.mjs serve|call KIND ENVIRONMENT-JSON`, told what to do by its parent.
const [role, kind, text] = process.argv.slice(2)
const env = JSON.parse(text)
const { kinds } = await import(kind.startsWith('ours') ? './ours.mjs' : './peers.mjs')

/** Duration of each call, the newest when there are more. Made once: 8 MB a round would make the collector run. */
const spans = new Float64Array(1_000_000)

process.on('disconnect', () => process.exit(0))
if (role === 'serve') {
  await kinds[kind].serve(env)
  process.on('message', () => process.send({ cpu: cpu() }))
} else {
  const call = await kinds[kind].connect(env)
  process.on('message', ({ callers, ms }) => {
    measure(call, callers, ms).then(
      answer => process.send(answer),
      error => process.send({ failed: String(error?.stack ?? error) }),
    )
  })
}
process.send({ ready: true })

/** Closed loop of `callers`; each makes its next call when the last one is answered. */
async function measure(call, callers, ms) {
  let calls = 0
  const before = cpu()
  const start = performance.now()
  const end = start + ms
  const caller = async () => {
    for (;;) {
      const from = performance.now()
      if (from >= end) return
      await call()
      spans[calls++ % spans.length] = performance.now() - from
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const took = performance.now() - start
  const sorted = spans.slice(0, Math.min(calls, spans.length)).sort()
  const at = part => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  return { calls, ms: took, p50: at(0.5), p99: at(0.99), cpu: cpu() - before }
}

/** Microseconds of processor time used so far. */
function cpu() {
  const { user, system } = process.cpuUsage()
  return user + system
}
