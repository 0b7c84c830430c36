// Runs in a process of its own beside the shop. It imports nothing; `defineCloudware` of @aaas/core-cloud/cloudware would
// only add types, which the line below gives an editor as well.

/** @type {import('@aaas/core-cloud/cloudware').Cloudware} */
export const cloudware = {
  name: 'vip-pricing',
  start({ config, logger, state, register }) {
    const { percent, maxPerSku } = config
    register('pricing.quote@1', input => withDiscount(input, percent))
    register('order.place@1', order => checkQuantities(order, maxPerSku))
    // The event may be delivered again, or to two instances at once: `incrementOnce` counts each event id once.
    register('order.paid@1', async (event, { eventId }) => {
      await state.put('currency', event.currency)
      await state.incrementOnce('orders', 1, eventId)
      await state.incrementOnce('amount', event.total, eventId)
      logger.info('a paid order was counted', { number: event.number })
    })
    register('console.section@1', input => section(state, input?.language, percent))
  },
}

/** Adds an adjustment to each line; the pricing service computes the amounts and totals from it. */
function withDiscount({ buyer, quote }, percent) {
  if (!buyer.groups.includes('vip')) return { buyer, quote }
  const label = { 'zh-CN': `会员 ${percent}% 优惠`, en: `VIP ${percent} % off` }
  const lines = quote.lines.map(line => {
    const before = line.adjustments.reduce((sum, { amount }) => sum + amount, line.unitAmount * line.quantity)
    const amount = -Math.round((before * percent) / 100)
    return amount < 0 ? { ...line, adjustments: [...line.adjustments, { code: 'vip', label, amount }] } : line
  })
  return { buyer, quote: { ...quote, lines } }
}

function checkQuantities({ lines, language }, maxPerSku) {
  const ordered = new Map()
  for (const { sku, quantity } of lines) ordered.set(sku, (ordered.get(sku) ?? 0) + quantity)
  for (const [sku, quantity] of ordered) {
    if (quantity <= maxPerSku) continue
    const message =
      language === 'zh-CN'
        ? `每个订单同一商品最多购买 ${maxPerSku} 件（${sku}）`
        : `At most ${maxPerSku} of one product per order (${sku})`
    return { ok: false, message, field: `lines/${lines.findIndex(line => line.sku === sku)}/quantity` }
  }
  return { ok: true }
}

async function section(state, language, percent) {
  const chinese = language === 'zh-CN'
  const orders = Number((await state.get('orders')) ?? 0)
  const amount = Number((await state.get('amount')) ?? 0)
  const currency = (await state.get('currency')) ?? 'CNY'
  const format = new Intl.NumberFormat(chinese ? 'zh-CN' : 'en', { style: 'currency', currency })
  const minorUnits = 10 ** format.resolvedOptions().maximumFractionDigits
  return {
    title: chinese ? '会员价' : 'VIP pricing',
    blocks: [
      { type: 'metric', label: chinese ? '已付订单' : 'Paid orders', value: String(orders) },
      { type: 'metric', label: chinese ? '金额' : 'Amount', value: format.format(amount / minorUnits) },
      { type: 'text', text: chinese ? `会员每行优惠 ${percent}%。` : `VIP buyers get ${percent} % off each line.` },
    ],
  }
}
