import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { warmUp } from '../../src/deploy/warm-up.js'

async function openServer(handler: RequestListener) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-w-'))
  const socketPath = join(dir, 's')
  const server = createServer(handler)
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      rmSync(dir, { recursive: true })
    },
  }
}

test('every path is asked for once, whatever the answers', async t => {
  const asked: string[] = []
  await using server = await openServer((request, response) => {
    asked.push(request.url ?? '')
    if (request.url === '/cut') response.destroy()
    else response.writeHead(request.url === '/bad' ? 500 : 200).end('x'.repeat(100_000))
  })
  const paths = ['/a', '/bad', '/cut', '/b', '/c d']
  await warmUp({ socketPath: server.socketPath, paths, clock: new ManualClock() })
  t.same(asked.sort(), ['/a', '/b', '/bad', '/cut'])
  asked.length = 0
  const many = Array.from({ length: 250 }, (_, index) => `/${index}`)
  await warmUp({ socketPath: server.socketPath, paths: many, clock: new ManualClock() })
  t.equal(asked.length, 200)
})

test('a program that does not answer holds nothing up for longer than two seconds', async t => {
  const clock = new ManualClock()
  let asked = (): void => undefined
  const reached = new Promise<void>(resolve => {
    asked = resolve
  })
  await using server = await openServer(() => asked())
  const warm = warmUp({ socketPath: server.socketPath, paths: ['/slow', '/next', '/never'], clock })
  await reached
  await clock.pass(2_000)
  await warm
  t.pass('it ended')
})

test('nobody to ask is no failure', async t => {
  await warmUp({ socketPath: '/nowhere/at/all', paths: ['/a'], clock: new ManualClock() })
  t.pass('it ended')
})
