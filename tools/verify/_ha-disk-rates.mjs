// Works a second through the log, against the same writes by a loop that knows no records: one file with room made
// before, one write under way, what comes meanwhile goes with the next. Both in turn, on the same disk.
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { openDiskStorage } from '../../packages/core-cloud/dist/src/ha/wal/disk-storage.js'
import { diskFiles } from '../../packages/core-cloud/dist/src/kernel/files/disk-files.js'

const data = Buffer.alloc(256, 7)
const roomBytes = 64 * 1024 * 1024

export async function rates(home, seconds) {
  const result = []
  for (const callers of [1, 64, 256]) {
    const floor = await floorRate(join(home, 'floor'), callers, seconds)
    const log = await logRate(join(home, `rate-${callers}`), callers, seconds)
    result.push({ callers, log, floor, ofFloor: Math.round((100 * log.perSecond) / floor.perSecond) / 100 })
  }
  return result
}

async function logRate(dir, callers, seconds) {
  const files = await diskFiles(dir, process.pid)
  const storage = await openDiskStorage({ cluster: 'rates', node: 1, files })
  const membership = { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false }
  await storage.create(1, membership)
  let index = 0
  const measured = await closedLoop(callers, seconds, done => {
    index += 1
    const vouches = { term: 1, index, logTerm: 1 }
    storage.append(1, { entries: [{ index, term: 1, kind: 'command', data }], sync: true, after: [], vouches }, done)
  })
  await storage.close()
  return measured
}

async function floorRate(path, callers, seconds) {
  const room = await open(path, 'w')
  await room.write(Buffer.alloc(roomBytes), 0, roomBytes, 0)
  await room.sync()
  await room.close()
  const file = await open(path, constants.O_RDWR | constants.O_DSYNC)
  let waiting = []
  let place = 0
  let writing = false
  const turn = async () => {
    writing = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      const bytes = Buffer.concat(batch.map(() => data))
      if (place + bytes.length > roomBytes) place = 0
      await file.write(bytes, 0, bytes.length, place)
      place += bytes.length
      for (const done of batch) done()
    }
    writing = false
  }
  const measured = await closedLoop(callers, seconds, done => {
    waiting.push(done)
    if (!writing) queueMicrotask(() => writing || turn())
  })
  await file.close()
  return measured
}

async function closedLoop(callers, seconds, start) {
  const times = []
  const began = performance.now()
  const end = began + seconds * 1_000
  const caller = async () => {
    while (performance.now() < end) {
      const from = performance.now()
      await new Promise(start)
      times.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const took = (performance.now() - began) / 1_000
  times.sort((a, b) => a - b)
  const at = part => Math.round(times[Math.floor(times.length * part)] * 1_000)
  return { perSecond: Math.round(times.length / took), p50us: at(0.5), p99us: at(0.99) }
}
