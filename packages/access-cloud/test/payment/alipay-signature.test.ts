import assert from 'node:assert/strict'
import { createVerify, sign as rsaSign } from 'node:crypto'
import {
  beijingTime,
  decimalToMinor,
  minorToDecimal,
  parseBeijingTime,
  rsaPrivateKey,
  rsaPublicKey,
  signNotification,
  signRequest,
  signRsa2,
  verifyNotification,
  verifyRequest,
} from '@aaas/access-cloud/payment'
import fc from 'fast-check'
import { test } from 'tap'
import { verifyRsa2 } from '../../src/payment/alipay-signature.js'
import { jsonMemberText } from '../../src/payment/json-member.js'
import { rsaKeys } from './payment-world.js'

// Published vectors of the official SDK (alipay/alipay-sdk-nodejs-all, MIT): test/alipay.test.ts, checkNotifySign and
// checkResponseSign, with the keys of test/fixtures. The keys are public halves, the messages are real ones of 2019-2024.
const tradeKey =
  'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqObrdC7hrgAVM98tK0nv3hSQRGGKT4lBsQjHiGjeYZjOPIPHR5knm2jnnz/YGIXIofVHkA/tAlBAd5DrY7YpvI4tP5EONLtZKC2ghBMx7McI2wRD0xiqzxOQr1FuhZGJ8/AUokBzJrzY+aGX2xcOrxFYRlFilvVLTXg4LWjR1tdPkO6+i7wQZAIVMClPkwVRZEbaERRHlKqTzv2gGv5rDU8gRoe1LeaN+6BlbTqHWkQcNCUNrA8C6l17XAXGKDsm/9TFWwO8EPHHHCaQdjtV5/FdcWIt+L8SR1ss7EXTjYDFtxcKVv9rEoY1lX8T4mX+GbXfZHraG5NCF1+XioL5JwIDAQAB'
const marketKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAk6DCsBIUhWriFohzRV8F
ic6oQWNnLKKILNk97VU5qcHEuxYzCujKoyva5gy1170mFJw4IcgJF8AyS7iDUwzA
wF4Pp9CpWxDhUhe7mdQJhjBmvTcPLGFFrzlj6unO5lAcbdwaxPUtSxOaNxPJGrTK
/wnKQSbjTMMltp1J68q2Tfgrsn/NdZ6lrxO9rvmky8kowqaH5NjntyHO59jCGabM
j5sI14z8N61wB/QuIJrDuzIPMPrSNbq0cOWcSCDG09oUHTp9fk7suDB8UiFcmVTX
OvK3d4HbeX8V9YsEMxrwxEoYgRRj6K2qrC6oxw480cqf2ueumCmHg6xrcgkyXK81
hwIDAQAB
-----END PUBLIC KEY-----`
const answerKey =
  'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAk7LzhmMa2c4qQd4fqAqenfbuFoA7stPKvoS1LrZEsVnOOGUUjwoa1oU9xsSPjcOWhIerU/VAN4J95GIAXx59ipcleIyfLn2FhHXPgLJpvo+b2jJFyn/1/DbeJDh+0yDVAOf50Z7HhI0mdUhFMkXlT7BU0ZMtJf/TmISFEfhDU/w6qFd6D42L97byAkq0K6LroglSVF24GqJEa7hSeUIkZWj7RasykXrc2uVJ1+ejkXE0LyPxa2AHykMGbJLf5SiZvaNzUZgnKIR36mLOHpQ/2JCXxhXZYUWHzy0kMH54JcUEeksFWBYLGvLjV1phbcUIc3Q76tIuqApY6E222OoZZQIDAQAB'

const tradeNotification = {
  gmt_create: '2019-08-15 15:56:22',
  charset: 'utf-8',
  seller_email: 'z97-yuquerevenue@service.aliyun.com',
  subject: '语雀空间 500人规模',
  sign: 'QfTb8tqE1BMhS5qAnXtvsF3/jBkEvu9q9en0pdbBUDDjvKycZhQb7h8GDs4FKfi049PynaNuatxSgLb/nLWZpXyyh0LEWdK2S6Ri7nPwrVgOs08zugLO20vOQz44y3ti2Ncm8/wZts1Fr2gZ7pShnVX3d1B50hbsXnObT1r/U8ONNQjWXd0HIul4TG+Q3fm3svmSvFEy0WnzuhcyHPX5Gm4ELNctL6Qd5YniGJFNcc7kopHYtI/XD9YCKCH6Ct02rzUs9i11C9CsadtZn+WhxF26Dqt9sGEFajkJ8cxUTLi8+VCpLHsgPE8P0y095uQcDdK0YjCh4x7wVSov+lrmOQ==',
  buyer_id: '2088102534368455',
  invoice_amount: '0.10',
  notify_id: '2019081500222155624068450559358070',
  fund_bill_list: '[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]',
  notify_type: 'trade_status_sync',
  trade_status: 'TRADE_SUCCESS',
  receipt_amount: '0.10',
  buyer_pay_amount: '0.10',
  sign_type: 'RSA2',
  app_id: '2019073166072302',
  seller_id: '2088531891668739',
  gmt_payment: '2019-08-15 15:56:24',
  notify_time: '2019-08-15 15:56:25',
  version: '1.0',
  out_trade_no: '20190815155618536-564-57',
  total_amount: '0.10',
  trade_no: '2019081522001468450512505578',
  auth_app_id: '2019073166072302',
  buyer_logon_id: 'xud***@126.com',
  point_amount: '0.00',
}

const marketNotification = {
  app_id: '2017122801303261',
  charset: 'UTF-8',
  commodity_order_id: '2019030800000018079639',
  contactor: '技术支持测试的公司',
  merchant_pid: '2088721996721370',
  method: 'alipay.open.servicemarket.order.notify',
  name: '技术支持测试的公司',
  notify_id: '2019030800222102023008121054923345',
  notify_time: '2019-03-08 10:20:23',
  notify_type: 'servicemarket_order_notify',
  order_item_num: '1',
  order_ticket: '29b1c37d99ab48c5bd5bdaeaeaefbB37',
  order_time: '2019-03-08 10:20:08',
  phone: '17826894615',
  service_code: '58621634',
  sign: 'MsK5SCw8oqLw4f0hiNSd5OVGXxBY3wnQeT8vn5PklJSZFWSZbK4hQbNvkp4ZezeXQH514cEv0ul6Qow8yh6e6yM06LfEL+EZjcpZ0nxzFGRNQ5qq2AUc1OaXQdk92AGvxh+Iq4NGpPQFBd4D8EBJa3NJd8+czMfQskceosOQFqUtLQMYa5DPs+VpN7VM5BdXjaVIuKn5d9Wm2B9dI9ObIM+YRySDkZZPv14DVmUvcrcqJfOR8aHvtSd7B4l92wUQPQgQKNcOQho7xOHS/Bk+Y74AZL2y7TkNmdDoq9OGsThuF5tDW9rI9nVwXxOtsuB+bstra+W7aw9x9DvkKgdSRw==',
  sign_type: 'RSA2',
  timestamp: '2019-03-08 10:20:23',
  title: '麦禾商城模版',
  total_price: '0.00',
  version: '1.0',
}

test('published vector: a trade notification is signed without sign_type', async () => {
  const key = rsaPublicKey(tradeKey)
  assert.equal(verifyNotification(tradeNotification, key), true)
  const { sign_type: _, ...without } = tradeNotification
  assert.equal(verifyNotification(without, key), true)
  for (const change of [
    { total_amount: '0.11' },
    { subject: '语雀空间 500人规模 ' },
    { extra: '1' },
    { sign_type: 'RSA' },
  ]) {
    assert.equal(verifyNotification({ ...tradeNotification, ...change }, key), false)
  }
})

test('published vector: a service market notification is signed with sign_type', async () => {
  const key = rsaPublicKey(marketKey)
  assert.equal(verifyNotification(marketNotification, key), true)
  const { sign_type: _, ...without } = marketNotification
  assert.equal(verifyNotification(without, key), true)
  assert.equal(verifyNotification({ ...marketNotification, service_code: '58621634111' }, key), false)
})

test('published vector: an answer is signed over the exact text of its member', async () => {
  const answer =
    '{"alipay_open_file_upload_response":{"code":"10000","msg":"Success","file_id":"CAxAToWB1JsAAAAAAAAAAAAADgSLAQBr"},"sign":"F+LDzpTNiavn7xVZPGuPCSSVRSmWzJGgtuji6tVELGEaqMaNj0jRKXUEr5nloZJBBmwEnddOyCjjepMmrTKTvoOqQ0Efxpr/R1iEeHTHVbb/Q8TTh6Up5gHJDkILdaWS2q1cWeQ6VT+HQY9P3WRXS7uhILHuDODIhpAyCu5KhWGt0rMCIG+Im6NODJP2oohtSCtmTFXg58HH587Z2y2bdbjzOxLvzD9IrU1imghXQ2S/Q+wMIvRk9on6cWnBLkrNvJKapA2ReNGWOwyuASvB9zDVzhMPbR+3mfRGkVDxsq5HYLjBKGskJMXHw0HuugZij6ScRuaLPODhmHwr/pJ9yw=="}'
  const text = jsonMemberText(answer, 'alipay_open_file_upload_response') ?? ''
  const { sign } = JSON.parse(answer) as { sign: string }
  assert.equal(verifyRsa2(text, sign, rsaPublicKey(answerKey)), true)
  assert.equal(verifyRsa2(text.replace('Success', 'success'), sign, rsaPublicKey(answerKey)), false)
})

test('the member of an answer is found at the outermost level only, with any spacing', async () => {
  const spaced = '\n{ "a_response"\n : {"code":"1","sign":"xxx","s":"}\\"{"}  ,\r\n "sign" : "abc"}'
  assert.equal(jsonMemberText(spaced, 'a_response'), '{"code":"1","sign":"xxx","s":"}\\"{"}')
  assert.equal(jsonMemberText('{"x":{"a_response":{"code":"10000"}},"sign":"s"}', 'a_response'), undefined)
  assert.equal(jsonMemberText('{"a_response":{},"a_response":{"code":"10000"}}', 'a_response'), undefined)
  for (const broken of ['', '[]', '{', '{"a_response"', '{"a_response":', '{"a_response":{}', 'null']) {
    assert.equal(jsonMemberText(broken, 'a_response'), undefined)
  }
})

test('any member text comes back exactly (property)', async () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), fc.nat(2), (others, value, indent) => {
      const object = { ...others, the_response: value, sign: 'x' }
      const text = JSON.stringify(object, undefined, indent)
      const found = jsonMemberText(text, 'the_response')
      assert.deepEqual(JSON.parse(found ?? '"absent"'), JSON.parse(JSON.stringify(value)))
      assert.ok(text.includes(found ?? '-'))
    }),
    { numRuns: 300, seed: 42 },
  )
})

const keys = rsaKeys()

test('what is signed verifies, and any change does not (property)', async () => {
  const privateKey = rsaPrivateKey(keys.privateKeyPem)
  const publicKey = rsaPublicKey(keys.publicKeyPem)
  const params = fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), fc.string({ maxLength: 40 }), {
    minKeys: 1,
    maxKeys: 8,
  })
  fc.assert(
    fc.property(params, given => {
      const { sign: _, sign_type: __, ...clean } = given
      const typed = { ...clean, sign_type: 'RSA2' }
      assert.equal(verifyRequest(signRequest(typed, privateKey), publicKey), true)
      const signed = signNotification(typed, privateKey)
      assert.equal(verifyNotification(signed, publicKey), true)
      assert.equal(verifyNotification({ ...signed, amount_x: '1' }, publicKey), false)
    }),
    { numRuns: 60, seed: 7 },
  )
})

test('signatures are those of any RSA implementation, and garbage never throws', async () => {
  const privateKey = rsaPrivateKey(keys.privateKeyPem)
  const signature = signRsa2('text 文字', privateKey)
  assert.equal(
    createVerify('RSA-SHA256').update('text 文字', 'utf8').verify(keys.publicKeyPem, signature, 'base64'),
    true,
  )
  assert.equal(
    verifyRsa2(
      't',
      rsaSign('sha256', Buffer.from('t'), privateKey).toString('base64'),
      rsaPublicKey(keys.publicKeyPem),
    ),
    true,
  )
  for (const garbage of ['', '=', 'not base64!', 'AAAA', signature.slice(0, -8), `${signature} `]) {
    assert.equal(verifyRsa2('text 文字', garbage, rsaPublicKey(keys.publicKeyPem)), false)
  }
})

test('keys are read as PEM, PKCS#8 and PKCS#1; what is not a key is refused without repeating it', async () => {
  const key = rsaPrivateKey(keys.privateKeyPem)
  for (const type of ['pkcs1', 'pkcs8'] as const) {
    const der = key.export({ type, format: 'der' }).toString('base64')
    assert.equal(signRsa2('x', rsaPrivateKey(der)), signRsa2('x', key))
  }
  for (const wrong of ['secret-thing', '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----']) {
    assert.throws(
      () => rsaPrivateKey(wrong),
      (error: Error) => !error.message.includes('secret') && /RSA/.test(error.message),
    )
  }
})

test('amounts convert exactly', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999_999_999_999 }), minor => {
      assert.equal(decimalToMinor(minorToDecimal(minor)), minor)
    }),
    { seed: 3 },
  )
  assert.deepEqual(['88.88', '88.8', '88', '0.01', '007.10'].map(decimalToMinor), [8_888, 8_880, 8_800, 1, 710])
  for (const wrong of ['', '.5', '1.', '1.234', '-1', '+1', '1e2', ' 1', '1,000', '9999999999999', 12, undefined]) {
    assert.equal(decimalToMinor(wrong), undefined)
  }
  assert.throws(() => minorToDecimal(0.5))
})

test('times are written in China time', async () => {
  assert.equal(beijingTime(Date.UTC(2019, 7, 15, 7, 56, 24, 999)), '2019-08-15 15:56:24')
  assert.equal(parseBeijingTime('2019-08-15 15:56:24'), Date.UTC(2019, 7, 15, 7, 56, 24))
  assert.equal(parseBeijingTime('2019-08-15 15:56:24.000'), Date.UTC(2019, 7, 15, 7, 56, 24))
  assert.deepEqual(['', '2019-13-45 99:99:99', 5].map(parseBeijingTime), [undefined, undefined, undefined])
})
