import { createPublicKey, type KeyObject, sign } from 'node:crypto'

/**
 * A self-signed X.509 certificate of an ed25519 key (RFC 5280 with the algorithm of RFC 8410), in PEM. It says nothing
 * but the key: the other side compares the key with the announced one and looks at neither names nor dates.
 */
export function certificateOf(privateKey: KeyObject): string {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const algorithm = node(0x30, Buffer.from('06032b6570', 'hex'))
  const name = node(
    0x30,
    node(0x31, node(0x30, Buffer.from('0603550403', 'hex'), node(0x0c, Buffer.from('aaas-direct')))),
  )
  const validity = node(0x30, node(0x17, Buffer.from('700101000000Z')), node(0x18, Buffer.from('99991231235959Z')))
  const version = node(0xa0, node(0x02, Buffer.of(2)))
  const serial = node(0x02, Buffer.of(1))
  const statement = node(0x30, version, serial, algorithm, name, validity, name, spki)
  const signature = node(0x03, Buffer.of(0), sign(null, statement, privateKey))
  const lines = node(0x30, statement, algorithm, signature)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

/** One element of DER: tag, length, content. */
function node(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >>> 8, length & 255]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}
