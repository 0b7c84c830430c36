import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { AlipaySimulator } from './alipay-simulator.js'
import { FaultPlan } from './simulator-config.js'
import { listTrades } from './trade-records.js'

const faultRequest = Compile(
  Type.Object(
    {
      appId: Type.String({ minLength: 1, maxLength: 32 }),
      /** Absent: every trade of the app that has no plan of its own. */
      outTradeNo: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
      plan: FaultPlan,
    },
    { additionalProperties: false },
  ),
)

/**
 * `PUT /alipay/admin/faults` sets a fault plan, `DELETE /alipay/admin/faults?appId=&outTradeNo=` takes it away,
 * `GET /alipay/admin/trades?appId=&limit=` lists the newest trades without the tokens that would let the caller pay.
 */
export async function answerAdmin(
  request: { readonly method: string; readonly url: URL; readonly body: string },
  { simulator, database }: { readonly simulator: AlipaySimulator; readonly database: Database },
): Promise<{ readonly status: number; readonly value: unknown }> {
  const { pathname, searchParams } = request.url
  const appId = searchParams.get('appId') ?? ''
  if (pathname === '/alipay/admin/faults' && request.method === 'PUT') {
    const value = parse(request.body)
    if (!faultRequest.Check(value))
      throw invalid(faultRequest.Errors(value)[0]?.instancePath, faultRequest.Errors(value)[0]?.message)
    knownApp(simulator, value.appId)
    const { plan, ...target } = value
    await simulator.faults.set(target, plan)
    return { status: 200, value }
  }
  if (pathname === '/alipay/admin/faults' && request.method === 'DELETE') {
    knownApp(simulator, appId)
    const outTradeNo = searchParams.get('outTradeNo')
    await simulator.faults.clear(outTradeNo === null ? { appId } : { appId, outTradeNo })
    return { status: 200, value: {} }
  }
  if (pathname === '/alipay/admin/trades' && request.method === 'GET') {
    knownApp(simulator, appId)
    const limit = Math.min(200, Math.max(1, Number.parseInt(searchParams.get('limit') ?? '50', 10) || 50))
    const rows = await listTrades(database, { appId, limit })
    return { status: 200, value: { trades: rows.map(({ token: _, ...trade }) => trade) } }
  }
  return { status: 404, value: { code: 'core.contract.unknown-method', message: 'no such admin endpoint' } }
}

function knownApp(simulator: AlipaySimulator, appId: string): void {
  if (!simulator.apps.has(appId)) throw invalid('appId', 'is not a registered app')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw invalid('', 'the body is not JSON')
  }
}

function invalid(path: string | undefined, reason: string | undefined): CloudError {
  const field = (path ?? '').replace(/^\//, '')
  return new CloudError('core.contract.invalid-input', `${field || 'body'} ${reason ?? 'is wrong'}`, { field })
}
