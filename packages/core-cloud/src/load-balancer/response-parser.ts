/** How the end of a response's body is told. */
type Framing = 'none' | 'length' | 'chunked' | 'close'

/** The head of a final response, without hop-by-hop headers. */
export interface ResponseHead {
  readonly status: number
  /** Names and values, alternating, as received. */
  readonly headers: string[]
  readonly framing: Framing
  /** Bytes of the body when `framing` is `length`, else 0. */
  readonly length: number
  /** True when the connection may carry another request afterwards. */
  readonly reusable: boolean
  /** Milliseconds the server says it keeps an idle connection; undefined when it says nothing. */
  readonly keepAliveMs: number | undefined
}

export interface ResponseSink {
  onHead(head: ResponseHead): void
  /** `bytes` is only valid during the call. */
  onBody(bytes: Buffer): void
  onEnd(): void
}

/** Bytes of a response's head, of a chunk's size line, and of all trailers together. */
const headLimit = 65_536
const chunkLineLimit = 1_024
const trailerLimit = 16_384

/** The other side sent something that is no HTTP/1.1 response. */
export class ResponseSyntaxError extends Error {
  override readonly name = 'ResponseSyntaxError'
}

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer' | 'close' | 'done'

/**
 * Takes the bytes of HTTP/1.1 responses and tells head, body and end. Pure: no I/O, keeps only what an unfinished line
 * or head needs. Strict where two readers could disagree about where a response ends.
 */
export class ResponseParser {
  #state: State = 'done'
  #sink: ResponseSink | undefined
  #bodiless = false
  #left = 0
  #trailerBytes = 0
  #kept: Buffer | undefined

  /** Prepares for the response of one request. @param options.bodiless - the request was HEAD. */
  begin(sink: ResponseSink, options: { readonly bodiless: boolean }): void {
    this.#sink = sink
    this.#bodiless = options.bodiless
    this.#state = 'head'
    this.#kept = undefined
  }

  /** True between `begin` and the end of the response. */
  get active(): boolean {
    return this.#state !== 'done'
  }

  /** @throws ResponseSyntaxError; the connection is of no use any more. */
  push(bytes: Buffer): void {
    let rest = bytes
    if (this.#kept !== undefined) {
      rest = Buffer.concat([this.#kept, bytes])
      this.#kept = undefined
    }
    while (rest.length > 0) {
      const used = this.#step(rest)
      if (used === 0) {
        // An incomplete line or head: the caller's buffer is reused, so keep a copy.
        this.#kept = Buffer.from(rest)
        return
      }
      rest = rest.subarray(used)
    }
  }

  /** The connection ended. @returns true when that completes the response. */
  finish(): boolean {
    if (this.#state !== 'close') return this.#state === 'done'
    this.#end()
    return true
  }

  #end(): void {
    this.#state = 'done'
    const sink = this.#sink
    this.#sink = undefined
    sink?.onEnd()
  }

  #step(bytes: Buffer): number {
    switch (this.#state) {
      case 'head':
        return this.#head(bytes)
      case 'length':
      case 'chunk-data':
        return this.#counted(bytes)
      case 'close':
        this.#sink?.onBody(bytes)
        return bytes.length
      case 'chunk-size':
        return this.#chunkSize(bytes)
      case 'chunk-end':
        return this.#chunkEnd(bytes)
      case 'trailer':
        return this.#trailer(bytes)
      case 'done':
        throw new ResponseSyntaxError('bytes after the end of the response')
    }
  }

  #head(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n')
    if (end < 0 || end > headLimit) {
      if (bytes.length > headLimit) throw new ResponseSyntaxError(`head over ${headLimit} bytes`)
      return 0
    }
    const head = parseHead(bytes.toString('latin1', 0, end), this.#bodiless)
    // 100 and 103 announce; the final head follows.
    if (head === 'interim') return end + 4
    this.#left = head.length
    this.#trailerBytes = 0
    this.#state = head.framing === 'chunked' ? 'chunk-size' : head.framing === 'none' ? 'head' : head.framing
    this.#sink?.onHead(head)
    if (head.framing === 'none' || (head.framing === 'length' && head.length === 0)) this.#end()
    return end + 4
  }

  #counted(bytes: Buffer): number {
    const count = Math.min(this.#left, bytes.length)
    this.#sink?.onBody(count === bytes.length ? bytes : bytes.subarray(0, count))
    this.#left -= count
    if (this.#left === 0) {
      if (this.#state === 'length') this.#end()
      else this.#state = 'chunk-end'
    }
    return count
  }

  #chunkSize(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n')
    if (end < 0 || end > chunkLineLimit) {
      if (bytes.length > chunkLineLimit) throw new ResponseSyntaxError('chunk size line too long')
      return 0
    }
    const digits = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(bytes.toString('latin1', 0, end))?.[1]
    if (digits === undefined) throw new ResponseSyntaxError('bad chunk size')
    this.#left = Number.parseInt(digits, 16)
    this.#state = this.#left === 0 ? 'trailer' : 'chunk-data'
    return end + 2
  }

  #chunkEnd(bytes: Buffer): number {
    if (bytes.length < 2) return 0
    if (bytes[0] !== 13 || bytes[1] !== 10) throw new ResponseSyntaxError('chunk longer than its size')
    this.#state = 'chunk-size'
    return 2
  }

  /** Trailers are dropped; an empty line ends them. */
  #trailer(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n')
    this.#trailerBytes += end < 0 ? 0 : end + 2
    if (this.#trailerBytes > trailerLimit || (end < 0 && bytes.length > trailerLimit)) {
      throw new ResponseSyntaxError('trailers too long')
    }
    if (end < 0) return 0
    if (end === 0) this.#end()
    return end + 2
  }
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function parseHead(text: string, bodiless: boolean): ResponseHead | 'interim' {
  const lines = text.split('\r\n')
  const status = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(lines[0] ?? '')
  if (status === null) throw new ResponseSyntaxError('bad status line')
  const code = Number(status[2])
  if (code === 101) throw new ResponseSyntaxError('switched protocols unasked')
  if (code < 200) return 'interim'
  const raw = new RawHeaders()
  for (let index = 1; index < lines.length; index++) raw.add(lines[index] ?? '')
  const framing = framingOf({ code, bodiless, raw })
  return {
    status: code,
    headers: raw.kept(),
    framing,
    length: framing === 'length' ? (raw.length ?? 0) : 0,
    // Both framings at once is how responses are smuggled: answer it, but never trust the connection again.
    reusable: framing !== 'close' && !raw.closes(status[1] === '0') && !(raw.encoding && raw.length !== undefined),
    keepAliveMs: raw.keepAliveMs,
  }
}

function framingOf({ code, bodiless, raw }: { code: number; bodiless: boolean; raw: RawHeaders }): Framing {
  if (bodiless || code === 204 || code === 304) return 'none'
  if (raw.encoding !== undefined) return 'chunked'
  return raw.length === undefined ? 'close' : 'length'
}

class RawHeaders {
  readonly #list: string[] = []
  #connection: string | undefined
  length: number | undefined
  encoding: string | undefined
  keepAliveMs: number | undefined

  add(line: string): void {
    const colon = line.indexOf(':')
    if (colon <= 0) throw new ResponseSyntaxError('bad header line')
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).trim()
    const lower = name.toLowerCase()
    if (lower === 'content-length') this.#length(value)
    if (!hopByHop.has(lower)) this.#list.push(name, value)
    else if (lower === 'connection') this.#connection = `${this.#connection ?? ''},${value.toLowerCase()}`
    else if (lower === 'transfer-encoding') this.#encoding(value)
    else if (lower === 'keep-alive') {
      const seconds = /(?:^|[ ,;])timeout=(\d{1,6})/.exec(value)?.[1]
      if (seconds !== undefined) this.keepAliveMs = Number(seconds) * 1_000
    }
  }

  #length(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (Number.isNaN(length) || this.length !== undefined) throw new ResponseSyntaxError('bad content-length')
    this.length = length
  }

  #encoding(value: string): void {
    if (this.encoding !== undefined || value.toLowerCase() !== 'chunked')
      throw new ResponseSyntaxError('bad transfer-encoding')
    this.encoding = value
  }

  closes(old: boolean): boolean {
    if (this.#connection === undefined) return old
    const tokens = this.#connection.split(',').map(token => token.trim())
    return tokens.includes('close') || (old && !tokens.includes('keep-alive'))
  }

  /** Without the length when chunks tell it, and without what `Connection` names as meant for us alone. */
  kept(): string[] {
    const named = this.#connection === undefined ? '' : this.#connection
    const plain = named === '' || named === ',keep-alive' || named === ',close'
    if (plain && this.encoding === undefined) return this.#list
    const dropped = new Set(named.split(',').map(token => token.trim()))
    if (this.encoding !== undefined) dropped.add('content-length')
    const list: string[] = []
    for (let index = 0; index + 1 < this.#list.length; index += 2) {
      const name = this.#list[index] ?? ''
      if (!dropped.has(name.toLowerCase())) list.push(name, this.#list[index + 1] ?? '')
    }
    return list
  }
}
