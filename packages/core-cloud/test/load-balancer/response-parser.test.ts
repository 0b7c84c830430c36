import fc from 'fast-check'
import { test } from 'tap'
import { ResponseParser, ResponseSyntaxError } from '../../src/load-balancer/response-parser.js'

interface Parsed {
  readonly status: number
  readonly headers: readonly string[]
  readonly reusable: boolean
  readonly body: string
}

/** Feeds the parts one by one; undefined while the answer is incomplete. */
function parse(
  parts: readonly Buffer[],
  options: { readonly bodiless?: boolean; readonly closed?: boolean } = {},
): Parsed | undefined {
  const parser = new ResponseParser()
  let head: Omit<Parsed, 'body'> | undefined
  let ended = false
  const body: Buffer[] = []
  parser.begin(
    {
      onHead: ({ status, headers, reusable }) => {
        head = { status, headers, reusable }
      },
      onBody: bytes => body.push(Buffer.from(bytes)),
      onEnd: () => {
        ended = true
      },
    },
    { bodiless: options.bodiless ?? false },
  )
  for (const part of parts) parser.push(part)
  if (options.closed) parser.finish()
  return ended && head !== undefined ? { ...head, body: Buffer.concat(body).toString('latin1') } : undefined
}

const split = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const places = [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
}

const token = fc
  .stringMatching(/^[a-z][a-z-]{0,10}$/)
  .filter(name => !/^(connection|content-length|keep-alive|te|trailer|upgrade)/.test(name))
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)
const headers = fc.array(fc.tuple(token, value), { maxLength: 6 })
const body = fc.string({ maxLength: 300, unit: 'binary-ascii' })

test('an answer is the same however its bytes are cut', t => {
  const chunkExtension = fc.constantFrom('', ';a=b', ' ; x')
  fc.assert(
    fc.property(
      fc.record({
        status: fc.integer({ min: 200, max: 599 }),
        headers,
        body,
        sizes: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 }),
      }),
      fc.constantFrom('length', 'chunked', 'close'),
      chunkExtension,
      fc.array(fc.nat(), { maxLength: 12 }),
      ({ status, headers: list, body: text, sizes }, framing, extension, cuts) => {
        fc.pre(status !== 204 && status !== 304)
        const lines = list.map(([name, content]) => `${name}: ${content}\r\n`).join('')
        let wire = `HTTP/1.1 ${status} Fine\r\n${lines}`
        if (framing === 'length') wire += `content-length: ${text.length}\r\n\r\n${text}`
        else if (framing === 'close') wire += `\r\n${text}`
        else {
          wire += 'transfer-encoding: chunked\r\n\r\n'
          let rest = text
          for (const size of [...sizes, 1_000]) {
            const chunk = rest.slice(0, size)
            rest = rest.slice(size)
            if (chunk !== '') wire += `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`
          }
          wire += '0\r\nx-trailer: y\r\n\r\n'
        }
        const parsed = parse(split(Buffer.from(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${wire}`, 'latin1'), cuts), {
          closed: framing === 'close',
        })
        const expected = list.flatMap(([name, content]) => [name, content])
        const kept = framing === 'length' ? [...expected, 'content-length', String(text.length)] : expected
        return (
          parsed?.status === status &&
          parsed.body === text &&
          parsed.reusable === (framing !== 'close') &&
          JSON.stringify(parsed.headers) === JSON.stringify(kept)
        )
      },
    ),
    { numRuns: 500 },
  )
  t.end()
})

test('an answer is never complete before its last byte', t => {
  const wires = [
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'HTTP/1.1 204 No Content\r\n\r\n',
  ]
  for (const wire of wires) {
    for (let length = 0; length < wire.length; length++) {
      t.equal(parse([Buffer.from(wire.slice(0, length))], { closed: true }), undefined, `${length} of ${wire.length}`)
    }
    t.ok(parse([Buffer.from(wire)]))
  }
  t.end()
})

test('any bytes give an answer or an error, never more', t => {
  fc.assert(
    fc.property(
      fc.constantFrom('', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'),
      fc.uint8Array({ maxLength: 200 }),
      (start, bytes) => {
        try {
          parse([Buffer.from(start), Buffer.from(bytes)], { closed: true })
          return true
        } catch (error) {
          return error instanceof ResponseSyntaxError
        }
      },
    ),
    { numRuns: 500 },
  )
  t.end()
})

test('connections are only used again where the answer says how it ended', t => {
  for (const [head, reusable] of [
    ['HTTP/1.1 200 OK\r\ncontent-length: 0', true],
    ['HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0', false],
    ['HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0', false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 0', false],
    ['HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0', true],
    ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0', false],
  ] as const) {
    t.equal(parse([Buffer.from(`${head}\r\n\r\n`)])?.reusable, reusable, head)
  }
  const both = parse([
    Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
  ])
  t.strictSame(both?.headers, [], 'the length that chunks override is not passed on')
  const head = parse([Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n')], { bodiless: true })
  t.strictSame(head?.headers, ['content-length', '9'], 'an answer to HEAD keeps it')
  t.end()
})
