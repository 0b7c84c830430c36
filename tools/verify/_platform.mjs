// A private platform for a demonstration: the real launcher in a folder and on ports of its own.
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { httpClient } from '../../packages/core-cloud/dist/src/contract/index.js'
import { systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'
import { siteCenterContract } from '../../packages/site-cloud/dist/src/site-center/index.js'

export const root = fileURLToPath(new URL('../../', import.meta.url))
const bin = join(root, 'packages/site-cloud/bin/aaas.mjs')
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

export async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Waits until `probe` gives something truthy; fails with `what` after `seconds`. */
export async function until(what, probe, seconds = 30) {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const value = await probe()
    if (value) return value
    if (performance.now() > end) throw new Error(`gave up after ${seconds} s: ${what}`)
    await sleep(50)
  }
}

/** Process ids below `pid`, itself left out, with their command lines. */
export function descendants(pid) {
  const all = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return fields[0] === 'Z'
          ? []
          : [
              {
                pid: Number(name),
                parent: Number(fields[1]),
                command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
              },
            ]
      } catch {
        return []
      }
    })
  const found = []
  const visit = parent => {
    for (const one of all) {
      if (one.parent === parent) {
        found.push(one)
        visit(one.pid)
      }
    }
  }
  visit(pid)
  return found
}

export const alive = pid => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
  } catch {
    return false
  }
}

/** Starts `aaas up` and waits for its announcement. */
export async function startPlatform({ home, edgePort, consolePort, args = [], say = () => undefined }) {
  const env = { ...process.env, AAAS_HOME: home, AAAS_PORT: String(edgePort), AAAS_CONSOLE_PORT: String(consolePort) }
  const started = performance.now()
  const child = spawn(process.execPath, [bin, '--json', 'up', ...args], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let out = ''
  let errors = ''
  child.stderr.on('data', part => (errors += part))
  const announced = await new Promise((resolve, reject) => {
    child.stdout.on('data', part => {
      out += part
      const line = out.split('\n').find(text => text.startsWith('{"'))
      if (line && out.includes('\n')) resolve(JSON.parse(line))
    })
    child.once('exit', code => reject(new Error(`aaas up ended with ${code}: ${errors.slice(-2000)}`)))
  })
  const seconds = (performance.now() - started) / 1000
  say(`platform is up after ${seconds.toFixed(1)} s`)
  const client = httpClient({
    contract: siteCenterContract,
    baseUrl: `http://127.0.0.1:${consolePort}/api`,
    token: readFileSync(join(home, 'secrets/cli-token'), 'utf8').trim(),
    clock: systemClock(),
    ids: systemIds(),
  })
  const exited = new Promise(resolve => child.once('exit', (code, signal) => resolve({ code, signal })))
  return {
    announced,
    seconds,
    child,
    client,
    exited,
    env,
    errors: () => errors,
    /** Runs a command line; rejects unless it ends with `code`. */
    cli: (argv, code = 0) =>
      new Promise((resolve, reject) => {
        execFile(
          process.execPath,
          [bin, '--json', ...argv],
          { env, maxBuffer: 64 * 1024 * 1024 },
          (error, stdout, stderr) => {
            const status = error ? (error.code ?? 1) : 0
            if (status !== code) reject(new Error(`aaas ${argv.join(' ')} ended with ${status}: ${stderr || stdout}`))
            else resolve(stdout.trim() === '' ? undefined : JSON.parse(stdout))
          },
        )
      }),
    /** Calls a service of a site as the operator. */
    call: async (site, contract, method, input = {}) =>
      (await client.callSite({ site, contract, method, input })).output,
    signal: name => process.kill(child.pid, name),
  }
}

/** Runs `work` with a fresh platform and a small shop named `shop`; stops and removes everything afterwards. */
export async function withPlatform({ say, args }, work) {
  const home = mkdtempSync(join(tmpdir(), 'aaas-v-'))
  const edgePort = await freePort()
  const consolePort = await freePort()
  const platform = await startPlatform({ home, edgePort, consolePort, say, ...(args ? { args } : {}) })
  try {
    return await work({ ...platform, home, edgePort, consolePort, hostName: 'shop.localhost' })
  } catch (error) {
    say(platform.errors().slice(-2000))
    for (const file of ['host.log', 'control.log']) {
      try {
        say(`${file}: ${readFileSync(join(home, file), 'utf8').slice(-1500)}`)
      } catch {}
    }
    throw error
  } finally {
    if (platform.child.exitCode === null && platform.child.signalCode === null) platform.signal('SIGTERM')
    await Promise.race([platform.exited, sleep(30_000)])
    rmSync(home, { recursive: true, force: true })
  }
}

/** A key of the shop's open API without a limit that matters. */
export async function apiKey(platform, site = 'shop') {
  return (
    await platform.call(site, 'site.shop-admin', 'createApiKey', {
      name: 'demonstration',
      scopes: ['order.place'],
      requestsPerSecond: 1_000_000,
    })
  ).apiKey
}

/** SKUs on the shelf, each of another product, stocked up to at least `least` units. */
export async function orderable(platform, { site = 'shop', least = 50, count = 20 } = {}) {
  const skus = []
  for (let offset = 0; skus.length < count; offset += 100) {
    const { products } = await platform.call(site, 'business.catalogue', 'listProducts', { limit: 100, offset })
    if (products.length === 0) break
    for (const { slug } of products.slice(0, count - skus.length)) {
      const product = await platform.call(site, 'business.catalogue', 'getProduct', { slug })
      skus.push({ ...product.skus[0], slug })
    }
  }
  for (const { sku, available } of skus) {
    if (available < least)
      await platform.call(site, 'business.inventory', 'adjust', {
        movementId: randomUUID(),
        sku,
        delta: least - available,
        reason: 'stocked for a demonstration',
      })
  }
  return skus
}

export const address = { name: 'Li Lei', phone: '13800000000', region: 'Shanghai', line: '1 Nanjing Road' }
export const median = values => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0
