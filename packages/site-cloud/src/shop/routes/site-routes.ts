import type { ProductSummary } from '@aaas/business-cloud/catalogue'
import { escapeHtml, type Markup, trusted } from '../html.js'
import { holes, StoredPage } from '../page-cache.js'
import { file, type Reply } from '../reply.js'
import { negotiateLanguage, type ShopRequest } from '../request.js'
import type { Shop } from './shop.js'

const tenMinutesMs = 600_000
/** The catalogue answers up to offset 10,000; a sitemap may have 50,000 addresses. */
const maxListed = 10_000

/** Files that search engines and browsers ask for beside the pages. */
export interface SiteRoutes {
  serve(request: ShopRequest): Promise<Reply | undefined>
}

export function siteRoutes(shop: Shop): SiteRoutes {
  const sitemaps = new Map<string, { readonly page: StoredPage; readonly freshUntil: number }>()
  const sitemap = async (request: ShopRequest): Promise<Reply> => {
    let kept = sitemaps.get(request.base)
    if (kept === undefined || kept.freshUntil <= shop.clock.monotonic()) {
      kept = {
        page: new StoredPage(await drawSitemap(shop, request.base)),
        freshUntil: shop.clock.monotonic() + tenMinutesMs,
      }
      if (sitemaps.size >= 4) sitemaps.clear()
      sitemaps.set(request.base, kept)
    }
    const body = kept.page.fill({ origin: request.origin, formToken: '', cartUnits: '' })
    return file(body, 'application/xml; charset=utf-8', 'public, max-age=600')
  }
  return {
    async serve(request) {
      switch (request.path) {
        case '/sitemap.xml':
          return sitemap(request)
        case '/robots.txt':
          return file(robots(request), 'text/plain; charset=utf-8', 'public, max-age=3600')
        case '/favicon.svg':
        case '/favicon.ico':
          return file(shop.files.favicon, 'image/svg+xml', 'public, max-age=86400')
        case '/manifest.webmanifest':
          return file(JSON.stringify(manifest(shop, request)), 'application/manifest+json', 'public, max-age=3600', {
            vary: 'accept-language',
          })
        default:
          return undefined
      }
    },
  }
}

function robots({ base, origin }: ShopRequest): string {
  const closed = ['cart', 'checkout', 'order/', 'account', 'login', 'register', 'search']
  return `User-agent: *\n${closed.map(path => `Disallow: ${base}/*/${path}\n`).join('')}Sitemap: ${origin}${base}/sitemap.xml\n`
}

function manifest(shop: Shop, request: ShopRequest): unknown {
  const { site } = shop
  const language = negotiateLanguage(request.raw.headers['accept-language'], site.languages, site.defaultLanguage)
  return {
    name: site.name[language],
    short_name: site.name[language].slice(0, 12),
    lang: language,
    start_url: `${request.base}/`,
    scope: `${request.base}/`,
    display: 'browser',
    background_color: site.theme.paper,
    theme_color: site.theme.accent,
    icons: [{ src: `${request.base}/favicon.svg`, sizes: 'any', type: 'image/svg+xml' }],
  }
}

async function drawSitemap(shop: Shop, base: string): Promise<Markup> {
  const { catalogue } = shop.services
  const products: ProductSummary[] = []
  for (let offset = 0; offset <= maxListed; offset += 100) {
    const page = await catalogue.listProducts({ sort: 'relevance', offset, limit: 100 })
    products.push(...page.products)
    if (page.products.length < 100) break
  }
  const paths = [
    '/',
    '/products',
    '/help',
    ...(await shop.categories()).map(category => `/category/${category.slug}`),
    ...products.map(product => `/product/${product.slug}`),
  ]
  const { languages, defaultLanguage } = shop.site
  const address = (language: string, path: string): string =>
    `${holes.originText}${escapeHtml(`${base}/${language}${path}`)}`
  const entries = paths.map(path => {
    const others = [
      ...languages.map(language => [language, language] as const),
      ['x-default', defaultLanguage] as const,
    ]
    const links = others
      .map(([name, language]) => `<xhtml:link rel="alternate" hreflang="${name}" href="${address(language, path)}"/>`)
      .join('')
    return languages.map(language => `<url><loc>${address(language, path)}</loc>${links}</url>\n`).join('')
  })
  return trusted(
    `<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">\n${entries.join('')}</urlset>\n`,
  )
}
