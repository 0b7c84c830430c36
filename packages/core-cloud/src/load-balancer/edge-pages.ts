import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CloudError } from '@aaas/core-cloud/kernel'

type Language = 'zh-CN' | 'en'

interface PageText {
  readonly title: string
  readonly text: string
}

const texts: Readonly<Record<string, Readonly<Record<Language, PageText>>>> = {
  landing: {
    en: {
      title: 'Nothing to see here',
      text: 'A cloud platform runs at this address. Open the address of a site to visit it.',
    },
    'zh-CN': { title: '这里没有页面', text: '此地址运行着一个云平台，请使用站点自己的网址访问。' },
  },
  'core.load-balancer.unknown-site': {
    en: { title: 'Page not found', text: 'There is no site at this address.' },
    'zh-CN': { title: '页面不存在', text: '此地址没有对应的站点。' },
  },
  'core.load-balancer.maintenance': {
    en: { title: 'Back in a moment', text: 'The site is being maintained. Please try again in a few minutes.' },
    'zh-CN': { title: '网站维护中', text: '我们正在进行维护，请稍后再来，感谢您的耐心等待。' },
  },
  'core.load-balancer.overloaded': {
    en: { title: 'Many visitors right now', text: 'The site is busy. Please try again in a moment.' },
    'zh-CN': { title: '访问人数较多', text: '当前访问的人较多，请稍候重试。' },
  },
  'core.load-balancer.not-supported': {
    en: { title: 'Not supported', text: 'This kind of request is not supported here.' },
    'zh-CN': { title: '暂不支持', text: '此处不支持该类请求。' },
  },
  'core.contract.payload-too-large': {
    en: { title: 'Too large', text: 'What you sent is larger than the site accepts.' },
    'zh-CN': { title: '内容过大', text: '提交的内容超过了站点允许的大小。' },
  },
  failure: {
    en: { title: 'Something went wrong', text: 'The site did not answer. Please try again in a moment.' },
    'zh-CN': { title: '暂时无法访问', text: '网站暂时没有响应，请稍后重试。' },
  },
}

/** Seconds after which a client may come back, by code. */
const retryAfter: Readonly<Record<string, number>> = {
  'core.load-balancer.maintenance': 60,
  'core.load-balancer.overloaded': 1,
  'core.load-balancer.no-instance': 1,
}

/** Answers with an error of the edge: JSON for programs, a small page for people. Says nothing about the inside. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: CloudError): void {
  const seconds = retryAfter[error.code]
  const headers: Record<string, string | number> = seconds === undefined ? {} : { 'retry-after': seconds }
  // What is left of an unwanted body is not worth reading.
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
  if (!request.complete && (length !== undefined || encoding !== undefined)) headers.connection = 'close'
  if (wantsPage(request)) {
    sendPage(request, response, { status: error.status, page: error.code in texts ? error.code : 'failure', headers })
    return
  }
  const body = JSON.stringify(error)
  send(request, response, { status: error.status, type: 'application/json; charset=utf-8', body, headers })
}

export function sendLanding(request: IncomingMessage, response: ServerResponse): void {
  sendPage(request, response, { status: 200, page: 'landing', headers: {} })
}

function wantsPage(request: IncomingMessage): boolean {
  return (request.headers.accept ?? '').includes('text/html')
}

/** The better liked of the two languages; English when neither is named. */
function languageOf(header: string | undefined): Language {
  let best: { readonly language: Language; readonly weight: number } = { language: 'en', weight: 0 }
  for (const item of (header ?? '').slice(0, 500).split(',')) {
    const [tag = '', ...parameters] = item.trim().toLowerCase().split(';')
    const weight = Number(parameters.map(one => /^\s*q=([\d.]+)/.exec(one)?.[1]).find(one => one !== undefined) ?? 1)
    const language = /^zh\b/.test(tag) ? 'zh-CN' : /^en\b/.test(tag) ? 'en' : undefined
    if (language !== undefined && weight > best.weight) best = { language, weight }
  }
  return best.language
}

function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  options: { readonly status: number; readonly page: string; readonly headers: Record<string, string | number> },
): void {
  const language = languageOf(request.headers['accept-language'])
  const { title, text } = (texts[options.page] ?? texts.failure)?.[language] ?? { title: '', text: '' }
  const body = `<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${title}</title><style>
:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;
font:16px/1.6 system-ui,-apple-system,"PingFang SC","Microsoft YaHei",sans-serif;background:#f6f7f9;color:#1d2330}
main{max-width:30rem;margin:1.5rem;padding:2.5rem 2rem;background:#fff;border-radius:16px;box-shadow:0 8px 30px #1d233014;text-align:center}
h1{margin:0 0 .5rem;font-size:1.5rem}p{margin:0;color:#5b6475}
@media(prefers-color-scheme:dark){body{background:#14171d;color:#eef1f6}main{background:#1d222b;box-shadow:none}p{color:#a3acba}}
</style></head><body><main><h1>${title}</h1><p>${text}</p></main></body></html>
`
  send(request, response, {
    status: options.status,
    type: 'text/html; charset=utf-8',
    body,
    headers: {
      ...options.headers,
      'content-language': language,
      vary: 'accept, accept-language',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    },
  })
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: {
    readonly status: number
    readonly type: string
    readonly body: string
    readonly headers: Record<string, string | number>
  },
): void {
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}
