import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type Proof, type ProofTarget, proveSite } from '../factory/index.js'
import { type CliContext, clientOf } from './cli-context.js'
import { endpointOf, type SiteCenterClient } from './connection.js'
import { show, table } from './output.js'
import { templates } from './platform-templates.js'
import { wholeNumber } from './site-commands.js'

/** Units a SKU must have to be ordered by the proof, which gives them back. */
const leastStock = 20

/** `aaas site prove NAME`: an open-loop load at the asked rate; exit code 1 when the site does not do what was asked. */
export function proveCommand(site: Command, context: () => CliContext): void {
  site
    .command('prove <name>')
    .description('send the load the site.json asks for and say whether the site carries it; exit code 1 if not')
    .option('--seconds <n>', 'length of the run', wholeNumber, 20)
    .option('--orders-per-minute <n>', 'instead of what site.json asks', wholeNumber)
    .option('--p99-ms <n>', 'instead of what site.json asks', wholeNumber)
    .action(async (name: string, options: { seconds: number; ordersPerMinute?: number; p99Ms?: number }) => {
      const { clock, ids, output } = context()
      const client = clientOf(context())
      const { performance } = await client.getSite({ site: name })
      const asked = {
        ordersPerMinute: options.ordersPerMinute ?? performance?.ordersPerMinute,
        p99Ms: options.p99Ms ?? performance?.p99Ms,
      }
      if (asked.ordersPerMinute === undefined || asked.p99Ms === undefined) {
        throw new CloudError('core.contract.invalid-input', `${name} names no performance; give --orders-per-minute and --p99-ms`)
      }
      const { target, close } = await openTarget(context(), client, name)
      try {
        const proof = await proveSite({
          target,
          ordersPerMinute: asked.ordersPerMinute,
          p99Ms: asked.p99Ms,
          readsPerOrder: templates[0]?.capacity.readsPerOrder ?? 10,
          seconds: options.seconds,
          clock,
          ids,
          ...(output.json ? {} : { progress: text => output.error(text) }),
        })
        await closeOrders(client, name, proof)
        const { placed, ...figures } = proof
        show(output, { ...figures, acknowledged: placed.length }, () => formatProof(proof))
        if (!proof.met) process.exitCode = 1
      } finally {
        await close()
      }
    })
}

async function openTarget(
  context: CliContext,
  client: SiteCenterClient,
  site: string,
): Promise<{ target: ProofTarget; close: () => Promise<void> }> {
  const call = async <T>(contract: string, method: string, input: unknown): Promise<T> =>
    (await client.callSite({ site, contract, method, input })).output as T
  const view = await client.getSite({ site })
  const key = await call<{ keyId: string; apiKey: string }>('site.shop-admin', 'createApiKey', {
    name: 'proof of performance',
    scopes: ['order.place'],
    requestsPerSecond: 100_000,
  })
  const { products } = await call<{ products: { slug: string; available: number }[] }>('business.catalogue', 'listProducts', { limit: 100 })
  const slugs = products.filter(product => product.available >= leastStock).map(product => product.slug)
  const skus: string[] = []
  for (const slug of slugs.slice(0, 60)) {
    const product = await call<{ skus: { sku: string; available: number }[] }>('business.catalogue', 'getProduct', { slug })
    skus.push(...product.skus.filter(sku => sku.available >= leastStock).map(sku => sku.sku))
  }
  return {
    target: {
      port: endpointOf(context.home).edgePort,
      hostName: view.hostNames[0] ?? `${site}.localhost`,
      apiKey: key.apiKey,
      skus,
      slugs,
    },
    close: async () => {
      await call('site.shop-admin', 'revokeApiKey', { keyId: key.keyId })
    },
  }
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
