import type { IncomingMessage, ServerResponse } from 'node:http'
import { CloudError, type Logger } from '@aaas/core-cloud/kernel'
import { formParams, readBody } from './http-form.js'
import type { PaymentGateway } from './payment-gateway.js'

/** Bytes of a notification at most; real ones are about two thousand. */
const maxNotificationBytes = 65_536

/**
 * The gateway's HTTP surface: `POST /notify/alipay` for the provider, `GET /health` for people.
 * The provider takes exactly `success` for yes and repeats the notification for anything else.
 */
export function paymentHttpHandler(options: {
  readonly gateway: PaymentGateway
  readonly health: () => Promise<void>
  readonly logger: Logger
}): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    route(request, options).then(
      ({ status, body }) => answer(response, status, body),
      (error: unknown) => {
        const failure = CloudError.from(error)
        if (failure.status >= 500) options.logger.error('payment HTTP request failed', { error })
        // A body that was not read to its end cannot be followed by another request.
        response.setHeader('connection', 'close')
        answer(response, failure.status, 'fail')
      },
    )
  }
}

async function route(
  request: IncomingMessage,
  { gateway, health }: { readonly gateway: PaymentGateway; readonly health: () => Promise<void> },
): Promise<{ readonly status: number; readonly body: string }> {
  const path = (request.url ?? '/').split('?', 1)[0]
  if (path === '/health' && request.method === 'GET') {
    await health()
    return { status: 200, body: 'ok' }
  }
  if (path !== '/notify/alipay') return { status: 404, body: 'not found' }
  if (request.method !== 'POST') return { status: 405, body: 'fail' }
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? ''))
    return { status: 415, body: 'fail' }
  const disposition = await gateway.receive('alipay', formParams(await readBody(request, maxNotificationBytes)))
  return disposition === 'refused' ? { status: 400, body: 'fail' } : { status: 200, body: 'success' }
}

function answer(response: ServerResponse, status: number, body: string): void {
  if (response.headersSent) return
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  response.end(body)
}
