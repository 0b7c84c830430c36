// Three processes elect who writes. The one that does is killed (kill -9) or stopped (SIGSTOP, longer than its lease) again
// and again. Every line of the shared file says who wrote: a lower token behind a higher one would be two writers at a time.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('_ha-holder.mjs', import.meta.url))
const rounds = 16

export async function verify({ say }) {
  const home = mkdtempSync(join(tmpdir(), 'aaas-holders-'))
  const shared = join(home, 'writes')
  const ports = await freePorts(3)
  const children = new Map()
  let term = { node: 0, token: 0 }
  const start = node => {
    const child = fork(program, [node, join(home, `n${node}`), shared, ...ports])
    children.set(node, child)
    child.on('message', ({ token }) => {
      if (token > term.token) term = { node, token }
    })
  }
  try {
    for (const node of [1, 2, 3]) start(node)
    await until(() => term.token > 0)
    const takeOvers = { kill: [], stop: [] }
    for (let round = 0; round < rounds; round++) {
      const how = round % 2 === 0 ? 'kill' : 'stop'
      const { node, token } = term
      const child = children.get(node)
      const began = performance.now()
      child.kill(how === 'kill' ? 'SIGKILL' : 'SIGSTOP')
      await until(() => term.token > token)
      takeOvers[how].push(performance.now() - began)
      if (how === 'kill') start(node)
      else child.kill('SIGCONT')
      // It may write now, if it believes that it still may.
      await wait(500)
    }
    const lines = readFileSync(shared, 'utf8').split('\n').slice(0, -1)
    const tokens = lines.map(line => Number(line.slice(0, 13)))
    const overlaps = tokens.filter((token, at) => at > 0 && token < tokens[at - 1]).length
    const owners = new Map()
    const shown = lines.filter((line, at) => {
      const owner = owners.get(tokens[at]) ?? line.slice(14)
      owners.set(tokens[at], owner)
      return owner !== line.slice(14)
    }).length
    const result = {
      // A term may end before its holder has written anything.
      ok: overlaps === 0 && shown === 0 && owners.size > rounds / 2,
      writes: lines.length,
      terms: owners.size,
      overlaps,
      tokensOfTwo: shown,
      killMedianMs: median(takeOvers.kill),
      stopMedianMs: median(takeOvers.stop),
    }
    say(`${result.writes} writes of ${result.terms} terms, ${overlaps} behind a higher token`)
    say(`a lease of 1 s is taken over after ${result.killMedianMs} ms (kill), ${result.stopMedianMs} ms (stop), median`)
    return result
  } finally {
    for (const child of children.values()) child.kill('SIGKILL')
    await Promise.all([...children.values()].map(gone))
    rmSync(home, { recursive: true, force: true })
  }
}

async function gone(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

function median(values) {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1])
}

async function until(met, seconds = 30) {
  for (let waited = 0; !met(); waited += 10) {
    if (waited > seconds * 1_000) throw new Error(`it did not happen within ${seconds} seconds`)
    await wait(10)
  }
}

function wait(ms) {
  return new Promise(resolve => setTimeout(resolve, ms))
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const found = servers.map(server => String(server.address().port))
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return found
}
