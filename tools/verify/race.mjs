// 64 and 256 buyers race for 10 units through two instances, 20 times each.
import { randomUUID } from 'node:crypto'
import { httpCaller } from './_http.mjs'
import { address, apiKey, orderable, withPlatform } from './_platform.mjs'

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const key = await apiKey(platform)
    const [target] = await orderable(platform, { count: 1 })
    const sku = target.sku
    const levelOf = async () => (await platform.call('shop', 'business.inventory', 'levels', { skus: [sku] })).levels[0]
    const problems = []
    const rounds = []
    for (const buyers of [64, 256]) {
      const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: key, sockets: buyers })
      for (let round = 1; round <= 20; round++) {
        const before = await levelOf()
        await platform.call('shop', 'business.inventory', 'adjust', {
          movementId: randomUUID(),
          sku,
          delta: 10 - before.available,
          reason: `race of ${buyers}`,
        })
        const answers = await Promise.all(
          Array.from({ length: buyers }, () =>
            http.call('POST', '/api/orders', {
              body: { lines: [{ sku, quantity: 1 }], language: 'en', address },
              headers: { 'idempotency-key': randomUUID() },
            }),
          ),
        )
        const won = answers.filter(answer => answer.status === 201).length
        const soldOut = answers.filter(
          answer => answer.status === 409 && JSON.parse(answer.text).error.code === 'business.inventory.sold-out',
        ).length
        const after = await levelOf()
        if (won !== 10 || won + soldOut !== buyers || after.available !== 0) {
          const other = answers.find(answer => answer.status !== 201 && answer.status !== 409)
          problems.push({
            buyers,
            round,
            won,
            soldOut,
            available: after.available,
            other: other && { status: other.status, text: other.text.slice(0, 200) },
          })
        }
        rounds.push({ buyers, won, soldOut })
      }
      http.close()
      say(
        `${buyers} buyers: ${rounds.filter(one => one.buyers === buyers && one.won === 10).length} of 20 rounds with exactly 10 winners`,
      )
    }
    const invariants = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
    const ledger = await platform.call('shop', 'business.ledger', 'check')
    return {
      ok: problems.length === 0 && invariants.ok && ledger.balanced,
      rounds: rounds.length,
      exactRounds: rounds.filter(one => one.won === 10).length,
      invariants,
      ledgerBalanced: ledger.balanced,
      problems: problems.slice(0, 5),
    }
  })
}
