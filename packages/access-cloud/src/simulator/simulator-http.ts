import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { beijingTime, formParams, minorToDecimal, readBody } from '@aaas/access-cloud/payment'
import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { AlipaySimulator } from './alipay-simulator.js'
import { cashierPage, cashierStyle, type Language, type PageSettings, problemPage } from './cashier-page.js'
import { type Html, html } from './html.js'
import { answerAdmin } from './simulator-admin.js'
import type { TradeRow } from './trade-records.js'

export interface SimulatorHttpOptions {
  readonly simulator: AlipaySimulator
  readonly database: Database
  readonly adminKey?: string
  readonly health: () => Promise<void>
  readonly clock: Clock
  readonly logger: Logger
}

interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const maxBodyBytes = 262_144
/** A request that is never answered keeps its socket this long, unless the client hangs up. */
const silenceMs = 60_000

/** `/alipay/gateway.do`, the cashier pages, and the admin endpoints. */
export function simulatorHttpHandler(
  options: SimulatorHttpOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    route(request, options).then(
      reply => {
        if (reply === 'silence') {
          const cancel = options.clock.after(silenceMs, () => response.destroy())
          response.on('close', cancel)
        } else send(response, reply)
      },
      (error: unknown) => {
        const failure = CloudError.from(error)
        if (failure.status >= 500) options.logger.error('simulator HTTP request failed', { error })
        response.setHeader('connection', 'close')
        const { code, message, field } = failure
        const text = failure.status >= 500 ? 'the simulator failed; its log has the cause' : message
        send(response, json(failure.status, { code, message: text, ...(field === undefined ? {} : { field }) }))
      },
    )
  }
}

async function route(request: IncomingMessage, options: SimulatorHttpOptions): Promise<Reply | 'silence'> {
  const url = new URL(request.url ?? '/', 'http://simulator')
  const method = request.method ?? 'GET'
  const cashier = /^\/alipay\/cashier\/([a-z2-7]{16,64})(\/pay|\/cancel)?$/.exec(url.pathname)
  if (cashier !== null) {
    return cashierReply(request, options, { url, token: cashier[1] ?? '', action: cashier[2] })
  }
  if (url.pathname === '/alipay/gateway.do' && (method === 'GET' || method === 'POST')) {
    return gatewayReply(request, options, url)
  }
  if (url.pathname === '/alipay/cashier.css' && method === 'GET') {
    const headers = { 'content-type': 'text/css; charset=utf-8', 'cache-control': 'public, max-age=3600' }
    return { status: 200, headers, body: cashierStyle }
  }
  if (url.pathname === '/health' && method === 'GET') {
    await options.health()
    return { status: 200, headers: { 'content-type': 'text/plain' }, body: 'ok' }
  }
  if (url.pathname.startsWith('/alipay/admin/') && isAdmin(request, options.adminKey)) {
    const body = method === 'GET' ? '' : await readBody(request, maxBodyBytes)
    const { status, value } = await answerAdmin({ method, url, body }, options)
    return json(status, value)
  }
  return page(404, problemPage({ kind: 'missing' }, settingsOf(request, url)))
}

async function gatewayReply(
  request: IncomingMessage,
  { simulator }: SimulatorHttpOptions,
  url: URL,
): Promise<Reply | 'silence'> {
  const body = request.method === 'POST' ? await readBody(request, maxBodyBytes) : ''
  const reply = await simulator.gateway.handle(formParams(url.search.slice(1), body))
  const settings = settingsOf(request, url)
  switch (reply.kind) {
    case 'silence':
      return 'silence'
    case 'cashier':
      return redirect(302, `${settings.prefix}/alipay/cashier/${reply.token}`)
    case 'page-error': {
      const code = String(reply.body.sub_code)
      return page(400, problemPage({ kind: 'refused', code, message: String(reply.body.sub_msg) }, settings))
    }
    default:
      // The real gateway says text/html; as JSON no browser runs what a merchant put into it.
      return { status: 200, headers: { 'content-type': 'application/json;charset=utf-8' }, body: reply.text }
  }
}

async function cashierReply(
  request: IncomingMessage,
  { simulator }: SimulatorHttpOptions,
  { url, token, action }: { readonly url: URL; readonly token: string; readonly action: string | undefined },
): Promise<Reply> {
  const settings = settingsOf(request, url)
  const wanted = action === undefined ? 'GET' : 'POST'
  if (request.method !== wanted) return { status: 405, headers: { allow: wanted } }
  const trade = await (action === '/pay' ? simulator.trades.pay(token) : simulator.trades.see(token))
  if (trade === undefined) return page(404, problemPage({ kind: 'missing' }, settings))
  if (action === undefined) return cashier(simulator, trade, settings)
  const self = `${settings.prefix}/alipay/cashier/${token}`
  if (action === '/cancel') return redirect(303, trade.return_url ?? self)
  const plan = await simulator.faults.notifyPlan({ appId: trade.app_id, outTradeNo: trade.out_trade_no })
  if (plan.beforeReturn) await simulator.notifier.runDue()
  else simulator.notifier.poke()
  return redirect(303, trade.paid_at === null || trade.return_url === null ? self : returnUrl(simulator, trade))
}

function cashier(simulator: AlipaySimulator, trade: TradeRow, settings: PageSettings): Reply {
  const merchantName = simulator.apps.get(trade.app_id)?.merchantName ?? trade.app_id
  // Browsers apply form-action to the redirect after the form too, and that leads to the shop.
  const origin = trade.return_url === null ? '' : ` ${new URL(trade.return_url).origin}`
  return page(200, cashierPage(trade, merchantName, settings), `'self'${origin}`)
}

function returnUrl(simulator: AlipaySimulator, trade: TradeRow): string {
  const url = new URL(trade.return_url ?? '')
  const params = simulator.gateway.returnParams({
    charset: 'utf-8',
    out_trade_no: trade.out_trade_no,
    method: 'alipay.trade.page.pay.return',
    total_amount: minorToDecimal(trade.amount),
    trade_no: trade.trade_no,
    auth_app_id: trade.app_id,
    version: '1.0',
    app_id: trade.app_id,
    sign_type: 'RSA2',
    seller_id: simulator.apps.get(trade.app_id)?.sellerId ?? '',
    timestamp: beijingTime(trade.paid_at ?? trade.created_at),
  })
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
  return url.href
}

/** Every link of the simulator hangs below the prefix that the edge took away. */
function settingsOf(request: IncomingMessage, url: URL): PageSettings {
  const prefix = request.headers['x-forwarded-prefix']
  const valid = typeof prefix === 'string' && /^(\/[\w.-]+)+$/.test(prefix)
  return { prefix: valid ? prefix : '', language: languageOf(request, url) }
}

function languageOf(request: IncomingMessage, url: URL): Language {
  const asked = url.searchParams.get('lang')
  if (asked === 'zh' || asked === 'en') return asked
  const accepted = request.headers['accept-language'] ?? 'zh'
  return /^\s*zh/i.test(accepted) || !/\ben\b/i.test(accepted) ? 'zh' : 'en'
}

function isAdmin(request: IncomingMessage, adminKey: string | undefined): boolean {
  if (adminKey === undefined) return false
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${adminKey}`))
}

function page(status: number, content: Html, formAction = "'none'"): Reply {
  const closed = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
  const policy = `${closed}; form-action ${formAction}`
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'cache-control': 'no-store',
  }
  return { status, headers, body: html`${content}`.text }
}

function redirect(status: 302 | 303, location: string): Reply {
  return { status, headers: { location, 'cache-control': 'no-store' } }
}

function json(status: number, value: unknown): Reply {
  return { status, headers: { 'content-type': 'application/json; charset=utf-8' }, body: JSON.stringify(value) }
}

function send(response: ServerResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(reply.status, {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...reply.headers,
  })
  response.end(reply.body ?? '')
}
