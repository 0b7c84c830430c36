// Ctrl-C and kill -9 leave no process, no port, no lock behind; the next start works and finds the old data.
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { httpCaller } from './_http.mjs'
import { address, alive, apiKey, descendants, freePort, orderable, startPlatform, until } from './_platform.mjs'

const isFree = port =>
  new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

export async function verify({ say }) {
  const home = mkdtempSync(join(tmpdir(), 'aaas-v-'))
  const edgePort = await freePort()
  const consolePort = await freePort()
  const figures = { startSeconds: [], leftProcesses: 0, portsLeft: 0, locksLeft: 0, socketsLeft: 0, goneAfterMs: [] }
  let order
  try {
    for (const how of ['SIGINT', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGINT']) {
      const platform = await startPlatform({ home, edgePort, consolePort, say })
      figures.startSeconds.push(Number(platform.seconds.toFixed(1)))
      const http = httpCaller({ port: edgePort, hostName: 'shop.localhost', apiKey: await apiKey(platform) })
      if (order === undefined) {
        const [{ sku }] = await orderable(platform, { count: 1 })
        const answer = await http.call('POST', '/api/orders', {
          body: { lines: [{ sku, quantity: 1 }], language: 'en', address },
          headers: { 'idempotency-key': randomUUID() },
        })
        order = JSON.parse(answer.text).number
      }
      const kept = await platform.call('shop', 'business.order', 'get', { number: order })
      if (kept.number !== order) throw new Error('the order of the first start is gone')
      http.close()
      const children = descendants(platform.child.pid)
      say(`${how}: ${children.length} processes below the launcher`)
      const at = performance.now()
      platform.signal(how)
      await platform.exited
      await until(`every process to end after ${how}`, () => children.every(one => !alive(one.pid)), 20).catch(
        () => undefined,
      )
      figures.goneAfterMs.push(Math.round(performance.now() - at))
      const left = children.filter(one => alive(one.pid))
      figures.leftProcesses += left.length
      for (const one of left) say(`left behind: ${one.pid} ${one.command}`)
      figures.portsLeft += Number(!(await isFree(edgePort))) + Number(!(await isFree(consolePort)))
      if (how !== 'SIGKILL') figures.locksLeft += Number(existsSync(join(home, 'lock')))
    }
    figures.socketsLeft = readdirSync(join(home, 'run')).length
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
  const [first, ...again] = figures.startSeconds
  return {
    ok:
      figures.leftProcesses === 0 &&
      figures.portsLeft === 0 &&
      figures.locksLeft === 0 &&
      first <= 60 &&
      Math.max(...again) <= 10,
    ...figures,
  }
}
