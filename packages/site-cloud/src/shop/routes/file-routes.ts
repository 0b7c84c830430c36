import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { extname, join, resolve, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { AssetPaths } from '../page-context.js'
import { artKinds, placeholderArt, productArt } from '../product-art.js'
import { file, immutable, type Reply } from '../reply.js'
import type { SiteView } from '../site-view.js'
import { styleSheet } from '../style/style-sheet.js'

interface StaticFile {
  readonly plain: Buffer
  readonly gzip: Buffer
  readonly type: string
}

/** Style sheet, script and pictures. Addresses carry a hash of the content, so browsers may keep them for ever. */
export interface ShopFiles {
  readonly paths: AssetPaths
  /** @returns undefined when there is no such file. `path` is below the base, such as `/assets/art/mug-sage.svg`. */
  serve(path: string, hasVersion: boolean, acceptEncoding: string | undefined): Promise<Reply | undefined>
  readonly favicon: string
}

/** Bytes of a picture from the owner's folder. */
const maxPictureBytes = 8 * 1024 * 1024
const hour = 'public, max-age=3600'
const pictureTypes: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
}

export function shopFiles(options: {
  readonly site: SiteView
  readonly version: string
  readonly assetsDir?: string
}): ShopFiles {
  const style = styleSheet(options.site.theme)
  const script = browserScript()
  const stylePath = `/assets/shop-${digest(style)}.css`
  const scriptPath = `/assets/shop-${digest(script)}.js`
  const files = new Map([
    [stylePath, staticFile(style, 'text/css; charset=utf-8')],
    [scriptPath, staticFile(script, 'text/javascript; charset=utf-8')],
  ])
  // Drawings change when their code does; the owner's pictures when the site gets a new version.
  const artVersion = digest(artKinds.map(kind => productArt(`art/${kind}-sage-1.svg`) ?? '').join(''))
  const ownVersion = digest(options.version)
  return {
    favicon: favicon(options.site),
    paths: {
      style: stylePath,
      script: scriptPath,
      image: name => {
        const path = name === '' ? placeholderArt : name
        return `/assets/${path}?v=${path.startsWith('art/') ? artVersion : ownVersion}`
      },
    },
    async serve(path, hasVersion, acceptEncoding) {
      const found = files.get(path)
      if (found !== undefined) return staticReply(found, acceptEncoding)
      const name = path.slice('/assets/'.length)
      const caching = hasVersion ? immutable : hour
      const drawing = productArt(name)
      if (drawing !== undefined) return file(drawing, 'image/svg+xml', caching, drawingPolicy)
      return options.assetsDir === undefined ? undefined : picture(options.assetsDir, name, caching)
    },
  }
}

// An SVG opened by itself is a document: it gets no rights.
const drawingPolicy = { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox" }

function staticReply(found: StaticFile, acceptEncoding: string | undefined): Reply {
  const gzip = acceptEncoding?.includes('gzip') ?? false
  const headers: Record<string, string> = { vary: 'accept-encoding' }
  if (gzip) headers['content-encoding'] = 'gzip'
  return file(gzip ? found.gzip : found.plain, found.type, immutable, headers)
}

async function picture(dir: string, name: string, caching: string): Promise<Reply | undefined> {
  const type = pictureTypes[extname(name).toLowerCase()]
  if (type === undefined || !/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/.test(name))
    return undefined
  const root = resolve(dir)
  const full = resolve(join(root, name))
  if (!full.startsWith(root + sep)) return undefined
  try {
    const { size } = await stat(full)
    if (size > maxPictureBytes) return undefined
    return file(await readFile(full), type, caching, drawingPolicy)
  } catch {
    return undefined
  }
}

function staticFile(text: string, type: string): StaticFile {
  const plain = Buffer.from(text)
  return { plain, gzip: gzipSync(plain, { level: 9 }), type }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** The script for browsers is a module of its own, compiled with the rest; it is read here, never imported. */
function browserScript(): string {
  const text = readFileSync(new URL('../system-browser.js', import.meta.url), 'utf8')
  return text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
}

function favicon(site: SiteView): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="${site.theme.accent}"/><path d="M16 25c-5.6 0-8.6-3.2-8.6-8.4 5.6-.4 8.6 2.6 8.6 8.4zm0 0c0-7.6 2.9-13.2 8.9-16.2C26.3 17 23.4 25 16 25z" fill="${site.theme.onAccent}"/></svg>`
}
