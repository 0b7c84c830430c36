// Vendure as a system under load: one process, GraphQL shop API, the fewest calls that complete an order.
import { fileURLToPath } from 'node:url'
import { words } from '../floor.mjs'
import { answered, caller } from '../load.mjs'
import { runProgram, startProgram } from '../one-server.mjs'

export const vendure = {
  name: 'Vendure',
  packageName: '@vendure/core',
  variable: 'AAAS_PEER_VENDURE',
  install: 'npm i --save-exact @vendure/core@3.7.3 pg@8.23.1',
  /** Our orders per second by its, at least. */
  must: 100,
  start,
}

/** Fills a database of the server (a minute or two) and starts Vendure on it, without a worker for its jobs. */
async function start({ folder, catalogueFile, database, atEnd }) {
  const url = await database('vendure')
  const program = (mode, seconds) => ({
    what: `Vendure (${mode})`,
    file: fileURLToPath(new URL('vendure-server.mjs', import.meta.url)),
    args: [mode, folder, url.href, catalogueFile],
    cwd: folder,
    env: { NODE_ENV: 'production' },
    seconds,
    atEnd,
  })
  await runProgram(program('fill', 240))
  const { port } = await startProgram(program('serve', 60))
  const target = { port, keepBody: true }
  return { target, work: await workOn(target) }
}

const list = `query ($skip: Int) { products(options: { take: 20, skip: $skip }) {
  totalItems items { id name slug variants { id sku priceWithTax stockLevel } } } }`
const detail = `query ($slug: String) { product(slug: $slug) {
  id name slug description variants { id sku name price priceWithTax stockLevel } } }`
const search = `query ($term: String) { search(input: { term: $term, take: 20, groupByProduct: true }) {
  totalItems items { productName slug sku priceWithTax { ... on SinglePrice { value } ... on PriceRange { min max } } } } }`
const addLines = `mutation ($inputs: [AddItemInput!]!) { addItemsToOrder(inputs: $inputs) {
  order { id code } errorResults { ... on ErrorResult { errorCode message } } } }`
const refused = '__typename ... on ErrorResult { errorCode message }'
const setCustomer = `mutation ($email: String!) {
  setCustomerForOrder(input: { firstName: "Li", lastName: "Lei", emailAddress: $email }) { ${refused} } }`
const setAddress = `mutation { setOrderShippingAddress(input: {
  fullName: "Li Lei", streetLine1: "1 Road", city: "X", postalCode: "1", countryCode: "DE" }) { ${refused} } }`
const setShipping = `mutation ($ids: [ID!]!) { setOrderShippingMethod(shippingMethodId: $ids) { ${refused} } }`
const arrange = `mutation { transitionOrderToState(state: "ArrangingPayment") { ${refused} } }`
const pay = `mutation { addPaymentToOrder(input: { method: "dummy", metadata: {} }) {
  __typename ... on Order { state code } ... on ErrorResult { errorCode message } } }`

/** @returns what the one field of a query or mutation gave, and the session's token. */
async function ask(client, query, variables = {}, token = undefined) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const answer = answered(200, await client.call('POST', '/shop-api', JSON.stringify({ query, variables }), headers))
  const { data, errors } = JSON.parse(answer.text)
  const [given] = Object.values(data ?? {})
  if (errors || given === null || given?.errorCode || given?.errorResults?.length > 0) {
    throw new Error(`Vendure refused: ${answer.text.slice(0, 300)}`)
  }
  return { given, token: answer.headers['vendure-auth-token'] ?? token }
}

async function workOn(target) {
  const client = caller({ ...target, sockets: 1 })
  const products = []
  for (let skip = 0; skip === products.length; skip += 100) {
    const page = `query ($skip: Int) { products(options: { take: 100, skip: $skip, sort: { id: ASC } }) {
      items { slug variants { id } } } }`
    products.push(...(await ask(client, page, { skip })).given.items)
  }
  const shipping = await shippingMethod(client, products[0].variants[0].id)
  client.close()
  const run = Date.now()
  let orders = 0
  const variant = at => products[at % products.length].variants[0].id
  const slug = at => products[at % products.length].slug
  return {
    list: async (client, worker, index) => {
      const { given } = await ask(client, list, { skip: ((worker * 7 + index) % 49) * 20 })
      if (given.items.length !== 20) throw new Error(`Vendure listed ${given.items.length} products`)
    },
    detail: (client, worker, index) => ask(client, detail, { slug: slug(worker * 131 + index) }),
    search: (client, worker, index) => ask(client, search, { term: words[(worker + index) % 7] }),
    order: async (client, worker, index) => {
      const at = worker * 131 + index * 17
      const inputs = [at, at + 1].map(one => ({ productVariantId: variant(one), quantity: 1 }))
      const { token } = await ask(client, addLines, { inputs })
      await ask(client, setCustomer, { email: `${run}-${orders++}@example.com` }, token)
      await ask(client, setAddress, {}, token)
      await ask(client, setShipping, { ids: [shipping] }, token)
      await ask(client, arrange, {}, token)
      const { given } = await ask(client, pay, {}, token)
      if (given.state !== 'PaymentAuthorized') throw new Error(`Vendure left an order in ${given.state}`)
    },
  }
}

/** Asked for once and not with each order: that it is always the same saves Vendure a call. */
async function shippingMethod(client, variant) {
  const { token } = await ask(client, addLines, { inputs: [{ productVariantId: variant, quantity: 1 }] })
  await ask(client, setAddress, {}, token)
  const { given } = await ask(client, 'query { eligibleShippingMethods { id } }', {}, token)
  return given[0].id
}
