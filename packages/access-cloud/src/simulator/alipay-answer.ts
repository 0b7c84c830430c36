/** One member of the gateway's answer, before signing. */
export type AlipayAnswerBody = Readonly<Record<string, unknown>> & { readonly code: string; readonly msg: string }

export function success(fields: Readonly<Record<string, unknown>>): AlipayAnswerBody {
  return { code: '10000', msg: 'Success', ...fields }
}

/** A definite refusal by the trade system, such as `ACQ.TRADE_NOT_EXIST`. */
export function businessFailure(subCode: string, subMessage: string): AlipayAnswerBody {
  return { code: '40004', msg: 'Business Failed', sub_code: subCode, sub_msg: subMessage }
}

export function missingArgument(subCode: string, subMessage: string): AlipayAnswerBody {
  return { code: '40001', msg: 'Missing Required Arguments', sub_code: subCode, sub_msg: subMessage }
}

export function invalidArgument(subCode: string, subMessage: string): AlipayAnswerBody {
  return { code: '40002', msg: 'Invalid Arguments', sub_code: subCode, sub_msg: subMessage }
}

export function serviceUnavailable(): AlipayAnswerBody {
  return { code: '20000', msg: 'Service Currently Unavailable', sub_code: 'isp.unknow-error', sub_msg: '系统繁忙' }
}
