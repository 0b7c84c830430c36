// What the platform costs while nobody asks for anything: memory, and time of the processors.
import { readFileSync } from 'node:fs'
import { httpCaller } from './_http.mjs'
import { descendants, sleep, withPlatform } from './_platform.mjs'

const settleSeconds = 20
const sampleSeconds = 60
/** Requests before: what an instance weighs is what it weighs after work. */
const requests = 3_000
const limits = { instanceMb: 120, platformMb: 700, cpuPercent: 3 }

export const verify = ({ say }) =>
  withPlatform({ say }, async platform => {
    await browse(platform)
    say(`${requests} pages were asked for; now nothing for ${settleSeconds + sampleSeconds} s`)
    await sleep(settleSeconds * 1000)
    const before = processes(platform)
    const at = performance.now()
    await sleep(sampleSeconds * 1000)
    const seconds = (performance.now() - at) / 1000
    const after = processes(platform)
    const started = new Map(before.map(one => [one.pid, one]))
    const groups = new Map()
    for (const one of after) {
      const group = groups.get(one.name) ?? { count: 0, pssMb: 0, rssMb: 0, cpuMs: 0 }
      groups.set(one.name, group)
      group.count += 1
      group.pssMb += one.pssMb
      group.rssMb = Math.max(group.rssMb, one.rssMb)
      // Of a process that started meanwhile all its time counts.
      group.cpuMs += one.cpuMs - (started.get(one.pid)?.cpuMs ?? 0)
    }
    say(`${'process'.padEnd(12)} count  PSS MB (all)  RSS MB (largest)  CPU %`)
    for (const [name, { count, pssMb, rssMb, cpuMs }] of groups) {
      const cells = [String(count).padStart(5), pssMb.toFixed(1).padStart(13), rssMb.toFixed(1).padStart(17)]
      say(`${name.padEnd(12)} ${cells.join(' ')} ${(cpuMs / seconds / 10).toFixed(2).padStart(6)}`)
    }
    const instances = after.filter(one => one.name === 'instance')
    const figures = {
      instanceMb: Math.max(...instances.map(one => one.rssMb)),
      instancePssMb: Math.max(...instances.map(one => one.pssMb)),
      platformMb: after.reduce((sum, one) => sum + one.pssMb, 0),
      cpuPercent: [...groups.values()].reduce((sum, group) => sum + group.cpuMs, 0) / seconds / 10,
    }
    const ok = Object.entries(limits).every(([name, most]) => figures[name] <= most) && instances.length > 0
    for (const [name, value] of Object.entries(figures)) figures[name] = Number(value.toFixed(2))
    return { ok, ...figures, limits, seconds: sampleSeconds }
  })

/** Home, lists and products, by both languages. */
async function browse(platform) {
  const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName })
  const { products } = await platform.call('shop', 'business.catalogue', 'listProducts', { limit: 100 })
  const pages = ['/', '/products', ...products.map(({ slug }) => `/product/${slug}`)]
  const paths = ['zh-CN', 'en'].flatMap(language => pages.map(page => `/${language}${page}`))
  const work = Array.from({ length: requests }, (_, index) => paths[index % paths.length]).values()
  const visitor = async () => {
    for (const path of work) {
      const { status } = await http.call('GET', path)
      if (status !== 200) throw new Error(`${path} answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, visitor))
  http.close()
}

/** Every process of the platform: launcher, control, host, instances, PostgreSQL. */
function processes(platform) {
  const all = [{ pid: platform.child.pid, command: 'launcher' }, ...descendants(platform.child.pid)]
  return all.flatMap(({ pid, command }) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
      const megabytes = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) / 1024
      // utime and stime in ticks of 10 ms.
      const cpuMs = (Number(fields[11]) + Number(fields[12])) * 10
      return [{ pid, name: nameOf(command), cpuMs, pssMb: megabytes('Pss'), rssMb: megabytes('Rss') }]
    } catch {
      return []
    }
  })
}

function nameOf(command) {
  const module = /system-([a-z]+)(?:-[a-z]+)*\.js/.exec(command)?.[1]
  return module ?? (command.includes('postgres') ? 'postgres' : command.split(' ')[0])
}
