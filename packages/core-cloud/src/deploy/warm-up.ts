import { Agent, request } from 'node:http'
import { type Clock, sleep } from '../kernel/clock.js'

/** Paths of one program, and how long all of them may take. */
const maxPaths = 200
const totalMs = 2_000
/** Several at once, as visitors come; few, because the instances that serve meanwhile need the processor too. */
const width = 2

/** Asks an instance for each path once. Never rejects: an instance that cannot do this may still serve. */
export async function warmUp(options: {
  readonly socketPath: string
  readonly paths: readonly string[]
  readonly clock: Clock
}): Promise<void> {
  if (options.paths.length === 0) return
  const agent = new Agent({ keepAlive: true, maxSockets: width })
  const over = new AbortController()
  const left = options.paths.slice(0, maxPaths).values()
  const worker = async (): Promise<void> => {
    for (const path of left) {
      if (over.signal.aborted) return
      // Also of a path that no request can have.
      await ask(agent, options.socketPath, path, over.signal).catch(() => undefined)
    }
  }
  const late = sleep(options.clock, totalMs, over.signal).catch(() => undefined)
  await Promise.race([Promise.all(Array.from({ length: width }, worker)), late])
  over.abort()
  agent.destroy()
}

function ask(agent: Agent, socketPath: string, path: string, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const headers = { host: 'localhost', 'x-forwarded-host': 'localhost', 'x-forwarded-proto': 'http' }
    const asked = request({ agent, socketPath, path, headers, signal }, response => {
      response.on('close', resolve)
      response.on('error', () => undefined)
      response.resume()
    })
    asked.on('error', () => resolve())
    asked.end()
  })
}
