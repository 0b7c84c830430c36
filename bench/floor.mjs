// The practical floor as a system under load: floor-server.mjs over floor-schema.sql.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { answered } from './load.mjs'
import { startProgram } from './one-server.mjs'

/** Searched for among the names of floor-schema.sql; each finds dozens. */
export const words = ['kettle', 'laptop', 'red', 'silent chair', 'drill', 'office', 'camera']

/** @returns the system under load, the URL of its database and its catalogue of 1,000 products. */
export async function startFloor({ database, atEnd }) {
  const url = await database('floor')
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query(readFileSync(new URL('floor-schema.sql', import.meta.url), 'utf8'))
  const { rows: catalogue } = await client.query('select slug, name, descr, price from product order by id')
  await client.end()
  const file = fileURLToPath(new URL('floor-server.mjs', import.meta.url))
  const { port } = await startProgram({ what: 'the floor', file, args: [url.href], seconds: 20, atEnd })
  return { label: 'floor', target: { port }, work: floorWork, url, catalogue }
}

const read = async (client, path) => answered(200, await client.call('GET', path))
const detail = (client, worker, index) => read(client, `/detail?s=p-${1 + ((worker * 131 + index) % 999)}`)

const floorWork = {
  list: (client, worker, index) => read(client, `/list?o=${((worker * 7 + index) % 49) * 20}`),
  detail,
  search: (client, worker, index) => read(client, `/search?t=${encodeURIComponent(words[(worker + index) % 7])}`),
  // It has no pages: the row behind one is what a page cannot be faster than.
  page: detail,
  order: async (client, worker, index) => {
    const order = { b: worker, x: 1 + ((worker * 131 + index * 17) % 1000), y: 1 + ((worker * 37 + index * 13) % 1000) }
    return answered(200, await client.call('POST', '/order', JSON.stringify(order)))
  },
}
