// Writes catalogue.csv: `node generate-catalogue.mjs`. The same program gives the same file, byte for byte.
import { readFileSync, writeFileSync } from 'node:fs'
import { categories } from './goods/categories.mjs'
import { care, colours, materials, origins, series } from './goods/shared.mjs'

/**
 * The kinds of goods of each category, eight a shelf. `drawing` is the picture, `lowest` and `highest` are yuan, `specs` the
 * sizes it comes in (they alternate over the design lines), `options` what a buyer chooses: color, size, style:switch or none.
 */
function readKinds() {
  const text = readFileSync(new URL('goods/kinds.csv', import.meta.url), 'utf8')
  const lines = text
    .trimEnd()
    .split('\n')
    .map(line =>
      [...line.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/g)].map(
        ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
      ),
    )
  const [header, ...rows] = lines
  return rows.map(row => Object.fromEntries(header.map((name, index) => [name, row[index]])))
}

const kinds = readKinds()
const colourIds = Object.keys(colours)

/** A small deterministic hash of text: picks among choices without a random source. */
function pick(text, count) {
  let hash = 2166136261
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16777619) >>> 0
  // The last characters barely reach the low bits: mix once more.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0
  return ((hash ^ (hash >>> 13)) >>> 0) % count
}

const columns = [
  'slug',
  'category',
  'category_name_zh',
  'category_name_en',
  'brand',
  'name_zh',
  'name_en',
  'description_zh',
  'description_en',
  'image',
  'sku',
  'option_color_zh',
  'option_color_en',
  'option_size',
  'option_style_zh',
  'option_style_en',
  'price',
  'stock',
  'attr_material_zh',
  'attr_material_en',
  'attr_size',
  'attr_weight',
  'attr_origin_zh',
  'attr_origin_en',
  'attr_care_zh',
  'attr_care_en',
  'attr_warranty_zh',
  'attr_warranty_en',
]

const switches = [
  ['红轴', 'Linear red'],
  ['茶轴', 'Tactile brown'],
  ['静音轴', 'Silent'],
]
const closings = [
  ['包装可回收。', 'Packed without plastic.'],
  ['附一张使用说明卡。', 'Comes with a card on its use.'],
  ['适合自用，也适合送人。', 'For yourself, or as a present.'],
  ['', ''],
]

function slugOf(text) {
  return text
    .toLowerCase()
    .replace(/[’']/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** Prices end in 9 or 8, like prices do. */
function priceOf([lowest, highest], key) {
  const steps = 12
  const raw = lowest + ((highest - lowest) * pick(`${key} price`, steps)) / steps
  const whole = Math.round(raw / 10) * 10 - (pick(`${key} end`, 3) === 0 ? 2 : 1)
  return Math.max(9, whole)
}

function stockOf(sku) {
  const roll = pick(`${sku} stock`, 100)
  if (roll < 3) return 0
  if (roll < 9) return 1 + (roll % 4)
  return 12 + pick(`${sku} units`, 240)
}

function coloursOf(slug, kind, count) {
  const start = pick(`${slug} colour`, colourIds.length)
  // Steps of 5 over 14 colours visit every one of them, far apart.
  return Array.from({ length: count }, (_, index) => colourIds[(start + index * 5) % colourIds.length])
}

function weightOf(kind, key) {
  const typical = {
    kettle: 820,
    teapot: 560,
    mug: 340,
    tin: 180,
    pan: 2100,
    bowl: 480,
    bottle: 330,
    lamp: 1250,
    candle: 420,
    chair: 5200,
    planter: 900,
    cushion: 620,
    towel: 460,
    backpack: 880,
    tote: 420,
    sneaker: 560,
    watch: 78,
    umbrella: 340,
    headphones: 265,
    speaker: 760,
    keyboard: 840,
    notebook: 240,
    pen: 28,
    camera: 410,
  }[kind]
  const grams = Math.round((typical * (85 + pick(`${key} weight`, 36))) / 100)
  return grams >= 1000 ? `${(grams / 1000).toFixed(2)} kg` : `${grams} g`
}

/** The SKUs of a product: colour, and for shoes the size, for some keyboards the switches. */
function skusOf(product, options, code) {
  if (options === 'none') return [{ sku: code }]
  if (options === 'style:switch')
    return switches.map((style, index) => ({ sku: `${code}-${'RBS'[index]}`, style, add: index * 20 }))
  if (options === 'size') {
    const [colour] = coloursOf(product.slug, product.kind, 1)
    const first = 36 + pick(`${product.slug} size`, 4)
    return [0, 1, 2, 3].map(step => ({ sku: `${code}-${first + step}`, size: String(first + step), colour }))
  }
  const count = [1, 2, 2, 3][pick(`${product.slug} count`, 4)]
  return coloursOf(product.slug, product.kind, count).map((colour, index) => ({
    sku: `${code}-${'ABC'[index]}`,
    colour,
    shown: count > 1,
  }))
}

const rows = []
const seen = new Set()
const codes = new Map()

function addProduct(category, entry, seriesEntry, seriesIndex, kindIndex) {
  const { drawing: kind, material, options } = entry
  const name = [entry.name_zh, entry.name_en]
  const text = [entry.text_zh, entry.text_en]
  const prices = [Number(entry.lowest), Number(entry.highest)]
  const specs = entry.specs.split('|')
  const { name: title } = seriesEntry
  const look = seriesEntry[category.look ?? 'home']
  const spec = specs[seriesIndex % specs.length]
  const slug = slugOf(`${title[1]} ${name[1]} ${spec.replace('"', ' inch')}`)
  if (seen.has(slug)) throw new Error(`the slug ${slug} came twice`)
  seen.add(slug)
  const prefix = category.slug.slice(0, 3).toUpperCase()
  const number = (codes.get(prefix) ?? 1000) + 1
  codes.set(prefix, number)
  const product = { slug, kind }
  const skus = skusOf(product, options, `${prefix}${number}`)
  const base = priceOf(prices, slug)
  const closing = closings[pick(`${slug} closing`, closings.length)]
  const originKey = category.origins[pick(`${slug} origin`, category.origins.length)]
  const careKey = category.care[pick(`${slug} care`, category.care.length)]
  const palette = skus[0].colour ?? coloursOf(slug, kind, 1)[0]
  const sizeText = spec === '' ? '' : spec
  skus.forEach((unit, index) => {
    const head = index === 0
    const first = value => (head ? value : '')
    const colour =
      unit.colour !== undefined && (unit.shown || unit.size !== undefined) ? colours[unit.colour] : ['', '']
    rows.push([
      slug,
      first(category.slug),
      first(category.name[0]),
      first(category.name[1]),
      first(category.brands[pick(`${slug} brand`, category.brands.length)]),
      first(`「${title[0]}」${name[0]}${sizeText === '' ? '' : ` ${sizeText}`}`),
      first(`${title[1]} ${name[1]}${sizeText === '' ? '' : `, ${sizeText}`}`),
      first(`${text[0]}${look[0]}${closing[0]}`),
      first(`${text[1]} ${look[1]}${closing[1] === '' ? '' : ` ${closing[1]}`}`),
      first(`art/${kind}-${palette}-${(seriesIndex * 5 + kindIndex * 7 + categories.indexOf(category) * 11) % 24}.svg`),
      unit.sku,
      colour[0],
      colour[1],
      unit.size ?? '',
      unit.style?.[0] ?? '',
      unit.style?.[1] ?? '',
      (base + (unit.add ?? 0)).toFixed(2),
      stockOf(unit.sku),
      first(materials[material][0]),
      first(materials[material][1]),
      first(sizeText),
      first(options === 'none' && material === 'tea' ? '' : weightOf(kind, slug)),
      first(origins[originKey][0]),
      first(origins[originKey][1]),
      first(care[careKey][0]),
      first(care[careKey][1]),
      first(category.warranty?.[0] ?? ''),
      first(category.warranty?.[1] ?? ''),
    ])
  })
}

// Series by series, so that neighbours in the shop's own order come from different categories.
series.forEach((seriesEntry, seriesIndex) => {
  for (let kindIndex = 0; kindIndex < 8; kindIndex++) {
    for (const category of categories) {
      const entry = kinds.filter(kind => kind.category === category.slug)[kindIndex]
      addProduct(category, entry, seriesEntry, seriesIndex, kindIndex)
    }
  }
})

function field(value) {
  const text = String(value)
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const csv = `${[columns, ...rows].map(row => row.map(field).join(',')).join('\n')}\n`
writeFileSync(new URL('catalogue.csv', import.meta.url), csv)
process.stdout.write(
  `${seen.size} products, ${rows.length} SKUs, ${categories.length} categories, ${Buffer.byteLength(csv)} bytes\n`,
)
