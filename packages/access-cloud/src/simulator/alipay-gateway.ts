import type { KeyObject } from 'node:crypto'
import { signNotification, signRsa2, verifyRequest } from '@aaas/access-cloud/payment'
import { type AlipayAnswerBody, invalidArgument, missingArgument, serviceUnavailable } from './alipay-answer.js'
import type { AlipayRequest, AlipayTrades } from './alipay-trades.js'
import type { FaultPlans, ResponseFault } from './fault-plans.js'

export interface RegisteredApp {
  readonly sellerId: string
  readonly merchantName: string
  readonly publicKey: KeyObject
}

export interface AlipayGatewayDeps {
  readonly apps: ReadonlyMap<string, RegisteredApp>
  readonly privateKey: KeyObject
  readonly trades: AlipayTrades
  readonly faults: FaultPlans
}

/** What to answer a request to `gateway.do`. `silence`: never answer, the planned fault is a timeout. */
export type GatewayReply =
  | { readonly kind: 'json'; readonly text: string }
  | { readonly kind: 'cashier'; readonly token: string }
  | { readonly kind: 'page-error'; readonly body: AlipayAnswerBody }
  | { readonly kind: 'silence' }

type Params = Readonly<Record<string, string>>

/** Public parameters that must be there, with the part of the error code that names each. */
const requiredParams: Readonly<Record<string, string>> = {
  method: 'method',
  app_id: 'app-id',
  sign_type: 'signature-type',
  sign: 'signature',
  timestamp: 'timestamp',
  version: 'version',
  charset: 'charset',
}

const pageMethod = 'alipay.trade.page.pay'

/** `gateway.do`: checks the public parameters and the merchant's signature, then hands over to the method. */
export class AlipayGateway {
  readonly #deps: AlipayGatewayDeps

  constructor(deps: AlipayGatewayDeps) {
    this.#deps = deps
  }

  async handle(params: Params): Promise<GatewayReply> {
    const method = params.method ?? ''
    const admitted = this.#admit(params)
    if ('code' in admitted) {
      return method === pageMethod ? { kind: 'page-error', body: admitted } : this.#json(method, admitted)
    }
    if (method === pageMethod) {
      const opened = await this.#deps.trades.pagePay(admitted)
      return 'code' in opened ? { kind: 'page-error', body: opened } : { kind: 'cashier', token: opened.token }
    }
    const run = this.#deps.trades.methods[method]
    if (run === undefined) return this.#json(method, invalidArgument('isv.invalid-method', '不存在的方法名'))
    const outTradeNo =
      typeof admitted.content.out_trade_no === 'string' ? admitted.content.out_trade_no.slice(0, 64) : ''
    const fault = await this.#deps.faults.takeResponse({ appId: admitted.appId, outTradeNo }, method)
    if (fault === 'timeout-before') return { kind: 'silence' }
    if (fault === 'system-error') return this.#json(method, serviceUnavailable())
    const body = await run(admitted)
    return fault === 'timeout-after' ? { kind: 'silence' } : this.#json(method, body, fault)
  }

  /** Parameters of the buyer's way back to the shop, signed like a notification. */
  returnParams(params: Params): Record<string, string> {
    return signNotification(params, this.#deps.privateKey)
  }

  #admit(params: Params): AlipayRequest | AlipayAnswerBody {
    for (const [name, part] of Object.entries(requiredParams)) {
      if ((params[name] ?? '') === '') return missingArgument(`isv.missing-${part}`, `缺少参数: ${name}`)
    }
    const app = this.#deps.apps.get(params.app_id ?? '')
    if (app === undefined) return invalidArgument('isv.invalid-app-id', '无效的AppID参数')
    if (params.sign_type !== 'RSA2') return invalidArgument('isv.invalid-signature-type', '无效的签名类型')
    if (!/^utf-?8$/i.test(params.charset ?? '')) return invalidArgument('isv.invalid-charset', '字符集错误')
    if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(params.timestamp ?? '')) {
      return invalidArgument('isv.invalid-timestamp', '非法的时间戳参数')
    }
    if (!verifyRequest(params, app.publicKey)) {
      return invalidArgument('isv.invalid-signature', '验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配')
    }
    for (const name of ['notify_url', 'return_url'] as const) {
      const url = params[name]
      if (url !== undefined && !(/^https?:\/\//.test(url) && URL.canParse(url))) {
        return invalidArgument(`isv.invalid-${name.replace('_', '-')}`, `${name} 不是有效的地址`)
      }
    }
    const content = contentOf(params.biz_content)
    if (content === undefined) return invalidArgument('isv.invalid-parameter', 'biz_content 不是有效的 JSON')
    return {
      appId: params.app_id ?? '',
      content,
      ...(params.notify_url === undefined ? {} : { notifyUrl: params.notify_url }),
      ...(params.return_url === undefined ? {} : { returnUrl: params.return_url }),
    }
  }

  #json(method: string, body: AlipayAnswerBody, fault?: ResponseFault): GatewayReply {
    const known = /^[a-z.]{1,64}$/.test(method)
    const text = JSON.stringify(body)
    // What cannot be told apart by its method comes as error_response, and that has never been signed.
    if (!known) return { kind: 'json', text: `{"error_response":${text}}` }
    const signature = signRsa2(fault === 'wrong-signature' ? `${text} ` : text, this.#deps.privateKey)
    return {
      kind: 'json',
      text: `{"${method.replaceAll('.', '_')}_response":${text},"sign":${JSON.stringify(signature)}}`,
    }
  }
}

function contentOf(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
