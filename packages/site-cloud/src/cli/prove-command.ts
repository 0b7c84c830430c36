import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type Proof, proveSite } from '../factory/index.js'
import { positiveNumber, withExamples } from './arguments.js'
import { type CliContext, clientOf, progressOf } from './cli-context.js'
import type { SiteCenterClient } from './connection.js'
import { openTarget } from './load-target.js'
import { exitCodes, show, table } from './output.js'
import { platformTemplates } from './platform-templates.js'

/** Products of the shelf that the load asks for. */
const products = 100

interface ProveOptions {
  readonly seconds: number
  readonly ordersPerMinute?: number
  readonly p99Ms?: number
}

/** `aaas site prove NAME`: an open-loop load at the asked rate; exit code 1 when the site does not do what was asked. */
export function proveCommand(site: Command, context: () => CliContext): void {
  withExamples(
    site
      .command('prove <name>')
      .description('send the load the site.json asks for and say whether the site carries it; exit code 1 if not')
      .option('--seconds <n>', 'length of the run', positiveNumber, 20)
      .option('--orders-per-minute <n>', 'instead of what site.json asks', positiveNumber)
      .option('--p99-ms <n>', 'instead of what site.json asks', positiveNumber),
    'aaas site prove shop',
    'aaas site prove shop --seconds 60 --orders-per-minute 600 --p99-ms 250 --json',
  ).action((name: string, options: ProveOptions) => prove(context(), name, options))
}

async function prove(context: CliContext, name: string, options: ProveOptions): Promise<void> {
  const { clock, ids, output } = context
  const client = clientOf(context)
  const asked = await askedOf(client, name, options)
  const { target, close } = await openTarget(context, name, { products })
  try {
    const proof = await untilInterrupted(
      context,
      proveSite({
        ...asked,
        target,
        readsPerOrder: platformTemplates(context.home)[0]?.capacity.readsPerOrder ?? 10,
        seconds: options.seconds,
        clock,
        ids,
        progress: progressOf(context),
      }),
    )
    await closeOrders(client, name, proof)
    const { placed, ...figures } = proof
    show(output, { ...figures, acknowledged: placed.length }, () => formatProof(proof))
    if (!proof.met) process.exitCode = exitCodes.failed
  } finally {
    await close()
  }
}

async function askedOf(
  client: SiteCenterClient,
  name: string,
  options: ProveOptions,
): Promise<{ readonly ordersPerMinute: number; readonly p99Ms: number }> {
  const { performance } = await client.getSite({ site: name })
  const ordersPerMinute = options.ordersPerMinute ?? performance?.ordersPerMinute
  const p99Ms = options.p99Ms ?? performance?.p99Ms
  if (ordersPerMinute !== undefined && p99Ms !== undefined) return { ordersPerMinute, p99Ms }
  throw new CloudError(
    'core.contract.invalid-input',
    `${name} names no performance; give --orders-per-minute and --p99-ms`,
    {
      field: ordersPerMinute === undefined ? '--orders-per-minute' : '--p99-ms',
    },
  )
}

/** Ctrl-C ends the wait, so that the key of the proof is revoked; its unpaid orders close by themselves. */
async function untilInterrupted<T>(context: CliContext, work: Promise<T>): Promise<T> {
  const signal = context.interrupted()
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  )
  return Promise.race([work, aborted])
}

/** The orders of the proof are closed again, so that their stock comes back. */
async function closeOrders(client: SiteCenterClient, site: string, proof: Proof): Promise<void> {
  for (const { number, accessToken } of proof.placed) {
    await client.callSite({ site, contract: 'business.order', method: 'cancel', input: { number, accessToken } })
  }
}

function formatProof(proof: Proof): string {
  const rows = [proof.orders, proof.reads].map(one => [
    one.kind,
    String(one.sent),
    String(one.failed),
    `${one.rate}/s`,
    `${one.p50Ms} ms`,
    `${one.p99Ms} ms`,
    `${one.maxMs} ms`,
  ])
  return [
    table(['REQUEST', 'SENT', 'FAILED', 'RATE', 'P50', 'P99', 'MAX'], rows),
    `asked: ${proof.asked.ordersPerMinute} orders a minute, p99 ${proof.asked.p99Ms} ms, counted from the intended send time, for ${proof.seconds} s`,
    proof.met ? 'met' : `NOT met: ${proof.reasons.join('; ')}`,
  ].join('\n')
}
