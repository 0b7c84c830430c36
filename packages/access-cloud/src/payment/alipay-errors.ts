/** What to do about an answer that is not success; see `Outcome` of the provider port. `absent`: no such trade. */
export type AlipayErrorClass = 'refused' | 'retry' | 'unknown' | 'absent'

/**
 * Business codes (`sub_code`) with a class of their own. What is not listed is a definite refusal when the gateway
 * answered 4xxxx, and unknown otherwise: a wrong "refused" would lose money that moved, so codes of the provider's
 * own trouble are unknown.
 */
const bySubCode: Readonly<Record<string, AlipayErrorClass>> = {
  'ACQ.TRADE_NOT_EXIST': 'absent',
  'ACQ.SYSTEM_ERROR': 'unknown',
  'AOP.ACQ.SYSTEM_ERROR': 'unknown',
  'aop.ACQ.SYSTEM_ERROR': 'unknown',
  'isp.unknow-error': 'unknown',
  'isp.unknown-error': 'unknown',
  'isp.service-unavailable': 'unknown',
  'aop.unknow-error': 'unknown',
  'aop.unknown-error': 'unknown',
  // The refund is valid and is accepted once the merchant's account holds the money.
  'ACQ.SELLER_BALANCE_NOT_ENOUGH': 'retry',
  'ACQ.REASON_TRADE_BEEN_FREEZEN': 'retry',
  'ACQ.TRADE_SETTLE_ERROR': 'retry',
  'aop.invalid-app-call-limit': 'retry',
  'isv.app-call-limited': 'retry',
  'aop.too-many-requests': 'retry',
}

const unknownGatewayCodes = new Set(['20000', '10003'])

/** @param code - gateway code such as `40004`; @param subCode - business code, when there is one. */
export function classifyAlipayError(code: string, subCode: string | undefined): AlipayErrorClass {
  if (subCode !== undefined && Object.hasOwn(bySubCode, subCode)) return bySubCode[subCode] ?? 'unknown'
  if (unknownGatewayCodes.has(code)) return 'unknown'
  return /^4\d{4}$/.test(code) || code === '20001' ? 'refused' : 'unknown'
}
