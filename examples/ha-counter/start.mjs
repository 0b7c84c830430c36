// Starts the three, kills one after the other (or those whose number is typed), and starts them again.
//   node start.mjs              for people: until Ctrl-C
//   node start.mjs --kills 3    kills the leader three times, checks the count, ends
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const kills = process.argv[2] === '--kills' ? Number(process.argv[3] ?? 3) : undefined
const home = mkdtempSync(join(tmpdir(), 'aaas-counter-'))
const ports = await freePorts(3)
const nodes = new Map()
let leader = 0
let highest = 0
let acknowledged = 0
let unknown = 0

for (const node of [1, 2, 3]) start(node)
if (kills === undefined) {
  console.log('Type 1, 2 or 3 and Enter to kill that process; it comes back after three seconds. Ctrl-C ends.')
  createInterface({ input: process.stdin }).on('line', line => void restart(Number(line.trim())))
  process.on('SIGINT', () => end(0))
} else await killLeaders(kills)

function start(node) {
  const program = fileURLToPath(new URL('node.mjs', import.meta.url))
  const everyMs = kills === undefined ? 500 : 20
  const child = fork(program, [node, join(home, String(node)), everyMs, ...ports])
  nodes.set(node, child)
  child.on('message', ({ count, ms, role, error }) => {
    if (role === 'leader') leader = node
    if (error !== undefined) unknown += 1
    else {
      acknowledged += 1
      highest = Math.max(highest, count)
    }
    if (kills === undefined)
      console.log(error === undefined ? `node ${node} (${role}): ${count} in ${ms} ms` : `node ${node}: ${error}`)
  })
}

async function restart(node) {
  const child = nodes.get(node)
  if (child === undefined) return
  console.log(`kill -9 node ${node}${node === leader ? ', the leader' : ''}`)
  child.kill('SIGKILL')
  await once(child, 'exit')
  if (kills === undefined) await wait(3_000)
  start(node)
}

async function killLeaders(times) {
  await until(() => acknowledged > 20)
  for (let round = 0; round < times; round++) {
    const before = acknowledged
    const dead = leader
    leader = 0
    const began = performance.now()
    void restart(dead)
    await until(() => leader !== 0 && acknowledged > before + 20)
    console.log(`node ${leader} leads; 20 more were counted within ${Math.round(performance.now() - began)} ms`)
  }
  // Whoever was killed may have counted once without having said so.
  const missing = acknowledged - highest
  console.log(`${acknowledged} acknowledged, ${unknown} of unknown outcome, the counter shows ${highest}`)
  const sound = missing <= 0 && highest - acknowledged <= unknown + times + 3
  console.log(sound ? 'nothing was lost, nothing was counted twice' : 'THE COUNT IS WRONG')
  end(sound ? 0 : 1)
}

function end(code) {
  for (const child of nodes.values()) child.kill('SIGKILL')
  rmSync(home, { recursive: true, force: true })
  process.exit(code)
}

async function until(met) {
  for (let waited = 0; !met(); waited += 20) {
    if (waited > 30_000) {
      console.log('it did not go on within 30 seconds')
      end(1)
    }
    await wait(20)
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
