import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'

// The thread of `systemWatchdog`: it waits until the first of the times, and nothing but the death of the process ends it.
const shared = workerData as SharedArrayBuffer
const bell = new Int32Array(shared, 0, 1)
const times = new BigInt64Array(shared, 8)

for (;;) {
  const rang = Atomics.load(bell, 0)
  let first = 0n
  for (let slot = 0; slot < times.length; slot++) {
    const time = Atomics.load(times, slot)
    if (time !== 0n && (first === 0n || time < first)) first = time
  }
  const left = first === 0n ? Number.POSITIVE_INFINITY : Number(first - process.hrtime.bigint()) / 1e6
  if (left <= 0) {
    writeSync(2, 'watchdog: a lease ran out while the event loop stood still; the process ends\n')
    process.kill(process.pid, 'SIGKILL')
  }
  Atomics.wait(bell, 0, rang, left)
}
