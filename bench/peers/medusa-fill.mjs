// Fills Medusa's database; run by `medusa exec`. Tells its parent the key, region and shipping option to order with.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const load = createRequire(join(process.cwd(), 'package.json'))
const { ContainerRegistrationKeys, Modules } = load('@medusajs/framework/utils')
const flows = load('@medusajs/medusa/core-flows')
const catalogue = JSON.parse(readFileSync(process.env.BENCH_CATALOGUE, 'utf8'))
const batch = 50

export default async function fill({ container }) {
  const run = async (flow, input) => (await flows[`${flow}Workflow`](container).run({ input })).result
  const { channel, location, profile, ...order } = await openShop(container, run)
  for (let from = 0; from < catalogue.length; from += batch) {
    const products = catalogue.slice(from, from + batch).map(one => product(one, { channel, profile }))
    await run('createProducts', { products })
  }
  const query = container.resolve(ContainerRegistrationKeys.QUERY)
  const { data: items } = await query.graph({ entity: 'inventory_item', fields: ['id'] })
  for (let from = 0; from < items.length; from += batch) {
    await run('createInventoryLevels', {
      inventory_levels: items.slice(from, from + batch).map(({ id }) => ({
        inventory_item_id: id,
        location_id: location,
        stocked_quantity: 1_000_000,
      })),
    })
  }
  await new Promise(resolve => process.send(order, resolve))
}

/** One sales channel, region, stock location, shipping option and key. */
async function openShop(container, run) {
  const link = container.resolve(ContainerRegistrationKeys.LINK)
  const [store] = await container.resolve(Modules.STORE).listStores()
  const [channel] = await run('createSalesChannels', { salesChannelsData: [{ name: 'bench' }] })
  await run('updateStores', {
    selector: { id: store.id },
    update: {
      supported_currencies: [{ currency_code: 'eur', is_default: true }],
      default_sales_channel_id: channel.id,
    },
  })
  const [region] = await run('createRegions', {
    regions: [{ name: 'EU', currency_code: 'eur', countries: ['de'], payment_providers: ['pp_system_default'] }],
  })
  await run('createTaxRegions', [{ country_code: 'de', provider_id: 'tp_system' }])
  const [location] = await run('createStockLocations', {
    locations: [{ name: 'bench', address: { address_1: '1 Road', city: 'X', country_code: 'DE' } }],
  })
  const [profile] = await run('createShippingProfiles', { data: [{ name: 'bench', type: 'bench' }] })
  const delivery = await container.resolve(Modules.FULFILLMENT).createFulfillmentSets({
    name: 'bench',
    type: 'shipping',
    service_zones: [{ name: 'bench', geo_zones: [{ country_code: 'de', type: 'country' }] }],
  })
  const stock = { [Modules.STOCK_LOCATION]: { stock_location_id: location.id } }
  await link.create({ ...stock, [Modules.FULFILLMENT]: { fulfillment_provider_id: 'manual_manual' } })
  await link.create({ ...stock, [Modules.FULFILLMENT]: { fulfillment_set_id: delivery.id } })
  const [option] = await run('createShippingOptions', [
    {
      name: 'Standard',
      price_type: 'flat',
      provider_id: 'manual_manual',
      service_zone_id: delivery.service_zones[0].id,
      shipping_profile_id: profile.id,
      type: { label: 'Standard', description: 'Standard', code: 'standard' },
      prices: [{ currency_code: 'eur', amount: 5 }],
      rules: [
        { attribute: 'enabled_in_store', value: 'true', operator: 'eq' },
        { attribute: 'is_return', value: 'false', operator: 'eq' },
      ],
    },
  ])
  await run('linkSalesChannelsToStockLocation', { id: location.id, add: [channel.id] })
  const [key] = await run('createApiKeys', { api_keys: [{ title: 'bench', type: 'publishable', created_by: '' }] })
  await run('linkSalesChannelsToApiKey', { id: key.id, add: [channel.id] })
  const order = { key: key.token, region: region.id, option: option.id }
  return { ...order, channel: channel.id, location: location.id, profile: profile.id }
}

function product({ slug, name, descr, price }, { channel, profile }) {
  return {
    title: name,
    handle: slug,
    description: descr,
    status: 'published',
    shipping_profile_id: profile,
    options: [{ title: 'kind', values: ['one'] }],
    variants: [
      {
        title: 'one',
        sku: slug,
        manage_inventory: true,
        options: { kind: 'one' },
        prices: [{ amount: price / 100, currency_code: 'eur' }],
      },
    ],
    sales_channels: [{ id: channel }],
  }
}
