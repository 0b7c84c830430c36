import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/** Parameters as they are before percent-encoding; every value counts exactly as received. */
export type AlipayParams = Readonly<Record<string, string>>

/**
 * Reads an RSA private key: PEM (PKCS#8 or PKCS#1), or the bare base64 body that Alipay's key tool prints.
 * @throws Error that never contains the key.
 */
export function rsaPrivateKey(text: string): KeyObject {
  return readKey(() => {
    if (text.includes('-----')) return createPrivateKey(text)
    const der = Buffer.from(text, 'base64')
    try {
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    } catch {
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs1' })
    }
  })
}

/** Reads an RSA public key: PEM, or the bare base64 body (SubjectPublicKeyInfo) that Alipay's console shows. */
export function rsaPublicKey(text: string): KeyObject {
  return readKey(() =>
    text.includes('-----')
      ? createPublicKey(text)
      : createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' }),
  )
}

function readKey(read: () => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = read()
  } catch {
    throw new Error('not a readable RSA key (PEM or base64 DER)')
  }
  if (key.asymmetricKeyType !== 'rsa') throw new Error('not an RSA key')
  return key
}

/** RSA2 of Alipay: SHA256withRSA (PKCS #1 v1.5) over UTF-8, base64. */
export function signRsa2(text: string, key: KeyObject): string {
  return sign('sha256', Buffer.from(text, 'utf8'), key).toString('base64')
}

/** False for anything that is not a valid signature of exactly this text; never throws on malformed input. */
export function verifyRsa2(text: string, signature: string, key: KeyObject): boolean {
  if (signature === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(signature)) return false
  return verify('sha256', Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64'))
}

/** `k=v` of every parameter but the named ones, sorted by the bytes of the name, joined by `&`. */
function signedText(params: AlipayParams, without: readonly string[]): string {
  return Object.keys(params)
    .filter(name => !without.includes(name))
    .sort()
    .map(name => `${name}=${params[name]}`)
    .join('&')
}

/** Adds `sign` over all parameters, `sign_type` included: the form of requests. */
export function signRequest(params: AlipayParams, key: KeyObject): Record<string, string> {
  return { ...params, sign: signRsa2(signedText(params, ['sign']), key) }
}

export function verifyRequest(params: AlipayParams, key: KeyObject): boolean {
  return verifyRsa2(signedText(params, ['sign']), params.sign ?? '', key)
}

/** Adds `sign` over all parameters but `sign_type`: the form of trade notifications and of the way back to the shop. */
export function signNotification(params: AlipayParams, key: KeyObject): Record<string, string> {
  return { ...params, sign: signRsa2(signedText(params, ['sign', 'sign_type']), key) }
}

/**
 * Verifies a notification. Trade notifications are signed without `sign_type`, those of other products with it, and
 * nothing in the message says which: both are tried.
 */
export function verifyNotification(params: AlipayParams, key: KeyObject): boolean {
  if (params.sign_type !== undefined && params.sign_type !== 'RSA2') return false
  const signature = params.sign ?? ''
  return (
    verifyRsa2(signedText(params, ['sign', 'sign_type']), signature, key) ||
    verifyRsa2(signedText({ sign_type: 'RSA2', ...params }, ['sign']), signature, key)
  )
}
