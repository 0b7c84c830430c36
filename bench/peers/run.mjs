// The same work by ours, the floor, Vendure and Medusa in turns, on one PostgreSQL. A peer that is not installed is left out.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startFloor } from '../floor.mjs'
import { figures, measure } from '../load.mjs'
import { onOneServer } from '../one-server.mjs'
import { startOurs } from '../ours.mjs'
import { medusa } from './medusa.mjs'
import { vendure } from './vendure.mjs'

const peers = [vendure, medusa]
const callers = 16
/** What takes seconds to answer is watched for longer, until each caller had two answers. */
const bounds = { seconds: 2, atLeast: 2 * callers, mostSeconds: 10 }
/** The whole run, at the longest; no round is begun that would not end in time. */
const minutes = 8

export async function bench({ say, args }) {
  const rounds = roundsOf(args)
  const begin = performance.now()
  const found = peers.flatMap(peer => {
    const at = installed(peer)
    if (at === undefined) {
      say(`${peer.name} is left out; to take part: ${peer.install}, and ${peer.variable}=<that folder>`)
    }
    return at === undefined ? [] : [{ ...peer, ...at }]
  })
  return onOneServer({ minutes, say }, async server => {
    const floor = await startFloor(server)
    const systems = [floor, ...(await startPeers({ server, found, catalogue: floor.catalogue, say }))]
    const ours = await startOurs({ ...server, say })
    systems.push(ours)
    const all = figures()
    for (let round = 1, took = 0; round <= rounds; round++) {
      const at = performance.now()
      if (at + 1.2 * took - begin > (minutes - 0.5) * 60_000) {
        say(`no time left for round ${round} of ${rounds}`)
        break
      }
      await measureRound({ all, systems, round, say })
      took = performance.now() - at
    }
    await ours.checkBooks()
    return { rows: all.rows(), ratios: found.flatMap(peer => ratios(all, peer)) }
  })
}

function roundsOf(args) {
  const at = args.indexOf('--rounds')
  const rounds = at < 0 ? 3 : Number(args[at + 1])
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 3) throw new Error('--rounds takes 1 to 3')
  return rounds
}

/** @returns where the peer is and its version; undefined when nobody named a folder. */
function installed({ name, variable, packageName }) {
  const named = process.env[variable]
  if (!named) return undefined
  const folder = resolve(named)
  const file = join(folder, 'node_modules', packageName, 'package.json')
  if (!existsSync(file)) throw new Error(`${variable} names ${folder}, in which there is no ${packageName}`)
  return { folder, label: `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}` }
}

async function startPeers({ server, found, catalogue, say }) {
  const catalogueFile = join(server.dir, 'catalogue.json')
  writeFileSync(catalogueFile, JSON.stringify(catalogue))
  const started = []
  for (const { start, folder, label, orderCallers } of found) {
    const at = performance.now()
    started.push({ label, orderCallers, ...(await start({ ...server, folder, catalogueFile })) })
    say(`${label} is filled and up after ${Math.round((performance.now() - at) / 1000)} s`)
  }
  return started
}

async function measureRound({ all, systems, round, say }) {
  for (const name of ['list', 'detail', 'search', 'order']) {
    for (const system of systems) {
      const c = callersOf(name, system)
      await measure({ all, name, system, callers: c, ...bounds })
      say(`round ${round} ${name} ${system.label}: ${all.median(`${name} ${system.label} c=${c}`).toFixed(1)}/s`)
    }
  }
}

const callersOf = (name, { orderCallers = callers }) => (name === 'order' ? orderCallers : callers)

function ratios(all, peer) {
  const row = (name, system) => `${name} ${system.label} c=${callersOf(name, system)}`
  const by = (name, mine, must) =>
    all.ratio({
      name: `${name} ${mine.name} / ${peer.label}`,
      of: row(name, mine),
      by: row(name, peer),
      ...(must === undefined ? {} : { must }),
    })
  const [ours, floor] = [
    { name: 'ours', label: 'ours' },
    { name: 'node-floor', label: 'floor' },
  ]
  return ['list', 'detail', 'search', 'order'].flatMap(name => [
    by(name, ours, name === 'order' ? peer.must : undefined),
    by(name, floor),
  ])
}
