import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Env, Hono } from 'hono'

const own = fileURLToPath(new URL('../../../assets/console/', import.meta.url))
const uplot = join(createRequire(import.meta.url).resolve('uplot'), '..')

const files: Readonly<Record<string, { readonly path: string; readonly type: string }>> = {
  'console.css': { path: join(own, 'console.css'), type: 'text/css; charset=utf-8' },
  'console.js': { path: join(own, 'console.js'), type: 'text/javascript; charset=utf-8' },
  'icon.svg': { path: join(own, 'icon.svg'), type: 'image/svg+xml' },
  'uplot.js': { path: join(uplot, 'uPlot.iife.min.js'), type: 'text/javascript; charset=utf-8' },
  'uplot.css': { path: join(uplot, 'uPlot.min.css'), type: 'text/css; charset=utf-8' },
}

interface Asset {
  readonly body: Buffer
  readonly hash: string
  readonly type: string
}

let loaded: ReadonlyMap<string, Asset> | undefined

function assets(): ReadonlyMap<string, Asset> {
  loaded ??= new Map(
    Object.entries(files).map(([name, { path, type }]) => {
      const body = readFileSync(path)
      return [name, { body, type, hash: createHash('sha256').update(body).digest('hex').slice(0, 10) }]
    }),
  )
  return loaded
}

/** Address of an asset; it changes with the content, so it may be cached for ever. */
export function assetPath(name: string): string {
  const asset = assets().get(name)
  if (asset === undefined) throw new Error(`no asset ${name}`)
  return `/assets/${asset.hash}/${name}`
}

export function assetRoutes<E extends Env>(app: Hono<E>): void {
  app.get('/assets/:hash/:name', c => {
    const asset = assets().get(c.req.param('name'))
    if (asset === undefined || asset.hash !== c.req.param('hash')) return c.notFound()
    return c.body(new Uint8Array(asset.body), 200, {
      'content-type': asset.type,
      'cache-control': 'public, max-age=31536000, immutable',
    })
  })
}
