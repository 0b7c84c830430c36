import type { Category, Product, ProductSort, ProductSummary } from '@aaas/business-cloud/catalogue'
import type { Order } from '@aaas/business-cloud/order'
import type { Party } from '@aaas/business-cloud/party'
import type { Quote } from '@aaas/business-cloud/pricing'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { StorefrontServices } from '../../src/shop/storefront.js'
import type { CatalogueFile } from './catalogue-file.js'

type Lines = readonly { readonly sku: string; readonly quantity: number }[]

/** The service centres in memory, with their contracts' errors; orders and payments are as simple as tests allow. */
export interface MemoryServices extends StorefrontServices {
  readonly state: {
    readonly orders: Map<string, Order & { accessToken: string; partyId: string | undefined }>
    readonly placed: Map<string, string>
    readonly carts: Map<string, Map<string, number>>
    /** Where `payments.start` sends the buyer; a test may change it. */
    payUrl: string
    /** What `payments.refresh` finds paid. */
    readonly paidAtProvider: Set<string>
    readonly calls: string[]
  }
  /** Changes a product in place, as an import would. */
  product(slug: string): Product
}

export function memoryServices(file: CatalogueFile, { clock, ids }: { clock: Clock; ids: Ids }): MemoryServices {
  const products = new Map(file.products.map(product => [product.slug, product]))
  const bySku = new Map(file.products.flatMap(product => product.skus.map(sku => [sku.sku, { product, sku }] as const)))
  const state: MemoryServices['state'] = {
    orders: new Map(),
    placed: new Map(),
    carts: new Map(),
    payUrl: 'https://pay.example/cashier',
    paidAtProvider: new Set(),
    calls: [],
  }
  const need = (sku: string): { product: Product; sku: Product['skus'][number] } => {
    const found = bySku.get(sku)
    if (found === undefined) throw new CloudError('business.catalogue.unknown-product', `no SKU ${sku}`)
    return found
  }
  const quote = (lines: Lines, vip: boolean): Quote => {
    const priced = lines.map(line => {
      const { sku } = need(line.sku)
      const gross = sku.amount * line.quantity
      const off = vip ? -Math.round(gross * 0.05) : 0
      const label = { 'zh-CN': '会员九五折', en: 'VIP 5 % off' }
      return {
        ...line,
        unitAmount: sku.amount,
        adjustments: vip ? [{ code: 'vip', label, amount: off }] : [],
        amount: gross + off,
      }
    })
    const subtotal = priced.reduce((sum, line) => sum + line.amount, 0)
    const freight = subtotal >= 9900 ? 0 : 1000
    return { currency: 'CNY', lines: priced, subtotal, freight, total: subtotal + freight }
  }
  const parties = memoryParties(ids)
  return {
    state,
    product(slug) {
      const found = products.get(slug)
      if (found === undefined) throw new Error(`no product ${slug}`)
      return found
    },
    catalogue: memoryCatalogue(file, products, state.calls),
    skus: {
      async loadSkus(skus) {
        return new Map(
          skus.flatMap(sku => {
            const found = bySku.get(sku)
            return found === undefined ? [] : [[sku, { ...found.product, options: found.sku.options }] as const]
          }),
        )
      },
    },
    pricing: { quote: async ({ lines, buyer }) => quote(lines, buyer.groups.includes('vip')) },
    carts: memoryCarts(state.carts, sku => void need(sku)),
    parties,
    ...memoryOrders({ state, need, quote, clock, ids }),
  }
}

function summaryOf({ slug, name, brand, category, image, amount, currency, available }: Product): ProductSummary {
  return { slug, name, brand, category, image, amount, currency, available }
}

function memoryCatalogue(
  file: CatalogueFile,
  products: ReadonlyMap<string, Product>,
  calls: string[],
): StorefrontServices['catalogue'] {
  const sorted = (list: readonly Product[], sort: ProductSort = 'relevance'): Product[] => {
    if (sort === 'newest') return list.toReversed()
    if (sort === 'relevance') return [...list]
    return list.toSorted((a, b) => (sort === 'price-ascending' ? a.amount - b.amount : b.amount - a.amount))
  }
  const all = [...products.values()]
  const byCategory = new Map(
    [...file.categories.keys()].map(slug => [slug, all.filter(product => product.category === slug)]),
  )
  return {
    async listCategories() {
      const categories: Category[] = [...file.categories].map(([slug, name]) => ({
        slug,
        name,
        products: byCategory.get(slug)?.length ?? 0,
      }))
      return { categories }
    },
    async listProducts({ category, sort, offset = 0, limit = 20 }) {
      const shelf = category === undefined ? all : (byCategory.get(category) ?? [])
      const list = sort === undefined || sort === 'relevance' ? shelf : sorted(shelf, sort)
      return { total: list.length, products: list.slice(offset, offset + limit).map(summaryOf) }
    },
    async getProduct({ slug }) {
      calls.push(`getProduct ${slug}`)
      const product = products.get(slug)
      if (product === undefined) throw new CloudError('business.catalogue.unknown-product', `no product ${slug}`)
      return product
    },
    async search({ text, brand, sort, offset = 0, limit = 20 }) {
      const words = text.toLowerCase().split(/\s+/)
      const hits = all.filter(product => {
        const haystack =
          `${product.name['zh-CN']} ${product.name.en} ${product.brand} ${product.description.en} ${product.description['zh-CN']}`.toLowerCase()
        return words.every(word => haystack.includes(word))
      })
      const brands = new Map<string, number>()
      for (const hit of hits) brands.set(hit.brand, (brands.get(hit.brand) ?? 0) + 1)
      const chosen = sorted(brand === undefined ? hits : hits.filter(hit => hit.brand === brand), sort)
      return {
        total: chosen.length,
        products: chosen.slice(offset, offset + limit).map(summaryOf),
        brands: [...brands].map(([name, count]) => ({ brand: name, count })),
      }
    },
    importCsv: () => Promise.reject(new Error('not in these tests')),
  }
}

function memoryCarts(
  carts: Map<string, Map<string, number>>,
  need: (sku: string) => void,
): StorefrontServices['carts'] {
  const of = (cartId: string): Map<string, number> => {
    const cart = carts.get(cartId) ?? new Map<string, number>()
    carts.set(cartId, cart)
    return cart
  }
  const view = (cartId: string): { cartId: string; lines: { sku: string; quantity: number }[] } => ({
    cartId,
    lines: [...of(cartId)].map(([sku, quantity]) => ({ sku, quantity })),
  })
  const set = (cartId: string, sku: string, quantity: number): void => {
    if (quantity > 999) throw new CloudError('business.cart.limit', 'too many')
    if (quantity === 0) of(cartId).delete(sku)
    else of(cartId).set(sku, quantity)
  }
  return {
    get: async ({ cartId }) => view(cartId),
    async setLine({ cartId, sku, quantity }) {
      need(sku)
      set(cartId, sku, quantity)
      return view(cartId)
    },
    async addLine({ cartId, sku, quantity }) {
      need(sku)
      set(cartId, sku, quantity + (of(cartId).get(sku) ?? 0))
      return view(cartId)
    },
    async clear({ cartId }) {
      carts.delete(cartId)
      return view(cartId)
    },
    merge: () => Promise.reject(new Error('not in these tests')),
  }
}

function memoryParties(ids: Ids): StorefrontServices['parties'] {
  const accounts = new Map<string, { party: Party; password: string }>()
  const sessions = new Map<string, Party>()
  const open = (party: Party): { party: Party; sessionToken: string } => {
    const sessionToken = ids.token(24)
    sessions.set(sessionToken, party)
    return { party, sessionToken }
  }
  return {
    async register({ email, password, name }) {
      if (accounts.has(email)) throw new CloudError('business.party.taken', 'taken')
      const party: Party = {
        partyId: ids.uuid(),
        kind: 'registered',
        name,
        email,
        groups: email.startsWith('vip') ? ['vip'] : [],
      }
      accounts.set(email, { party, password })
      return open(party)
    },
    async login({ email, password }) {
      const account = accounts.get(email)
      if (account?.password !== password) throw new CloudError('business.party.bad-credentials', 'wrong')
      return open(account.party)
    },
    async bySession({ sessionToken }) {
      const party = sessions.get(sessionToken)
      return party === undefined ? {} : { party }
    },
    async logout({ sessionToken }) {
      sessions.delete(sessionToken)
      return {}
    },
    setGroups: () => Promise.reject(new Error('not in these tests')),
  }
}

interface OrderDeps {
  readonly state: MemoryServices['state']
  readonly need: (sku: string) => { product: Product; sku: Product['skus'][number] }
  readonly quote: (lines: Lines, vip: boolean) => Quote
  readonly clock: Clock
  readonly ids: Ids
}

function memoryOrders({ state, need, quote, clock, ids }: OrderDeps): Pick<StorefrontServices, 'orders' | 'payments'> {
  const none = (): Promise<never> => Promise.reject(new Error('not in these tests'))
  const unknown = (): CloudError => new CloudError('business.order.unknown', 'no such order')
  const find = (number: string): Order & { accessToken: string; partyId: string | undefined } => {
    const order = state.orders.get(number)
    if (order === undefined) throw unknown()
    return order
  }
  const allowed = (input: { number: string; accessToken?: string; partyId?: string }): Order => {
    const { accessToken, partyId, ...order } = find(input.number)
    if (input.accessToken !== accessToken && (partyId === undefined || input.partyId !== partyId)) throw unknown()
    return order
  }
  return {
    orders: {
      async place(input, options) {
        const key = options?.idempotencyKey
        if (key === undefined) throw new CloudError('core.contract.invalid-input', 'no idempotency key')
        if (options?.actor?.scopes.includes('order.place') !== true)
          throw new CloudError('core.contract.forbidden', 'no scope')
        const before = state.placed.get(key)
        if (before !== undefined) return find(before)
        for (const line of input.lines) {
          if (need(line.sku).sku.available < line.quantity) {
            throw new CloudError('business.inventory.sold-out', 'sold out', { details: { sku: line.sku } })
          }
        }
        if (input.address.name === 'Refused')
          throw new CloudError('core.cloudware.vetoed', 'At most 3 of one item <b>please</b>.')
        if (input.address.name === 'Slow') throw new CloudError('core.contract.deadline-exceeded', 'late')
        const priced = quote(input.lines, false)
        if (input.expectedTotal !== undefined && input.expectedTotal !== priced.total) {
          throw new CloudError('business.order.price-changed', 'changed', { details: { total: priced.total } })
        }
        for (const line of input.lines) need(line.sku).sku.available -= line.quantity
        const number = `20261120-${String(state.orders.size + 1).padStart(8, 'A')}`
        const order = {
          number,
          state: 'unpaid' as const,
          currency: 'CNY',
          subtotal: priced.subtotal,
          freight: priced.freight,
          total: priced.total,
          lines: priced.lines.map(line => ({
            ...line,
            name: need(line.sku).product.name,
            image: need(line.sku).product.image,
            slug: need(line.sku).product.slug,
          })),
          address: input.address,
          supplierOrders: [],
          paymentId: ids.uuid(),
          placedAt: clock.now(),
          expiresAt: clock.now() + 900_000,
          accessToken: ids.token(16),
          partyId: input.partyId,
        }
        state.orders.set(number, order)
        state.placed.set(key, number)
        return order
      },
      get: async input => allowed(input),
      async list({ partyId }) {
        const mine = [...state.orders.values()].filter(order => order.partyId === partyId)
        const orders = mine.map(order => ({ ...order, buyerName: order.address.name, units: 1 }))
        return { total: orders.length, orders }
      },
      async cancel(input) {
        const order = allowed(input)
        if (order.state !== 'unpaid') throw new CloudError('business.order.invalid-transition', 'not unpaid')
        find(input.number).state = 'closed'
        return allowed(input)
      },
      ship: none,
      complete: none,
      refund: none,
    },
    payments: {
      async start({ number, returnUrl }) {
        if (find(number).state !== 'unpaid') throw new CloudError('business.order.invalid-transition', 'not unpaid')
        if (state.payUrl === '') throw new CloudError('access.payment.provider-unavailable', 'down')
        return { redirectUrl: `${state.payUrl}?return=${encodeURIComponent(returnUrl)}` }
      },
      async refresh({ number }) {
        state.calls.push(`refresh ${number}`)
        if (state.paidAtProvider.has(number)) find(number).state = 'paid'
        return { state: find(number).state }
      },
    },
  }
}
