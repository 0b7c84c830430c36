// Durable streams lose nothing and apply nothing twice: 100,000 messages (AAAS_LOSS_MESSAGES) on each driver while
// producers, consumers and the server are killed in turn, 40 kills (AAAS_LOSS_KILLS) spread over the messages.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTestEngine } from '../../packages/testing/dist/src/index.js'
import { lossScenario } from './_loss.mjs'
import { localDriver } from './_loss-local.mjs'
import { natsDriver } from './_loss-nats.mjs'

export async function verify({ say }) {
  const messages = Number(process.env.AAAS_LOSS_MESSAGES ?? 100_000)
  const kills = Number(process.env.AAAS_LOSS_KILLS ?? 40)
  const deadlineMs = 600_000
  const runs = []
  const nats = findTestEngine('nats')
  const drivers = [localDriver, ...('path' in nats ? [() => natsDriver(nats.path)] : [])]
  if ('skip' in nats) say(nats.skip)
  for (const make of drivers) {
    const folder = mkdtempSync(join(tmpdir(), 'aaas-loss-'))
    try {
      runs.push(await lossScenario({ driver: make(folder), folder, messages, kills, deadlineMs, say }))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { ok: runs.every(run => run.ok), runs }
}
