// Complete orders and storefront reads: ours through the edge and two instances, beside two floors on the same server.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startFloor } from '../floor.mjs'
import { figures, measure } from '../load.mjs'
import { onOneServer } from '../one-server.mjs'
import { startOurs } from '../ours.mjs'

const rounds = 3
const seconds = 2
const callers = [1, 16, 64]

export const bench = ({ say }) =>
  onOneServer({ minutes: 10, say }, async server => {
    const floor = await startFloor(server)
    const ours = await startOurs({ ...server, say })
    const all = figures()
    for (let round = 1; round <= rounds; round++) {
      for (const name of ['list', 'detail', 'search', 'page', 'order']) {
        for (const c of callers) {
          for (const system of [floor, ours]) await measure({ all, name, system, callers: c, seconds })
        }
        const [mine, least] = ['ours', 'floor'].map(label => Math.round(all.median(`${name} ${label} c=16`)))
        say(`round ${round} ${name}: ours ${mine}/s, node-floor ${least}/s at 16 callers`)
      }
      const pgbench = runPgbench(floor.url, server.dir)
      if (pgbench !== undefined) all.add('order pgbench c=16', '1/s', pgbench)
    }
    await ours.checkBooks()
    const ratio = (name, must, better = 'higher', figure = '') =>
      all.ratio({
        name: `${name} ours / node-floor${figure} at 16 callers`,
        of: `${name} ours c=16${figure}`,
        by: `${name} floor c=16${figure}`,
        must,
        better,
      })
    return {
      rows: all.rows(),
      ratios: [
        ratio('order', 0.3),
        ratio('order', 4, 'lower', ' p99'),
        ratio('list', 0.4),
        ratio('detail', 0.4),
        ratio('search', 0.4),
        ratio('page', 0.3),
      ],
    }
  })

/** Orders per second of the floor's SQL function without any Node; undefined where pgbench is not installed. */
function runPgbench(url, dir) {
  const bin = [
    '/usr/bin/pgbench',
    ...(existsSync('/usr/lib/postgresql')
      ? readdirSync('/usr/lib/postgresql').map(version => `/usr/lib/postgresql/${version}/bin/pgbench`)
      : []),
  ].find(existsSync)
  if (bin === undefined) return undefined
  const script = join(dir, 'place.sql')
  writeFileSync(
    script,
    '\\set b random(1,100000)\n\\set a random(1,1000)\n\\set c random(1,1000)\nselect place(:b,:a,:c);\n',
  )
  const out = execFileSync(
    bin,
    ['-n', '-M', 'prepared', '-c16', '-j2', `-T${seconds}`, '-f', script, url.pathname.slice(1)],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {
        ...process.env,
        PGHOST: url.searchParams.get('host') ?? url.hostname,
        PGUSER: url.username,
        PGPASSWORD: decodeURIComponent(url.password),
      },
    },
  )
  return Number(/tps = ([\d.]+)/.exec(out)?.[1])
}
