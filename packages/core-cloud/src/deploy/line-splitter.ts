import { StringDecoder } from 'node:string_decoder'

/** Longest line, characters; a longer one comes in pieces. */
const maxChars = 64 * 1024

/** Cuts a stream of bytes into lines, without their ends. Empty lines are left out. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8')
  readonly #onLine: (line: string) => void
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#emit(line)
    if (this.#rest.length > maxChars) {
      this.#emit(this.#rest)
      this.#rest = ''
    }
  }

  end(): void {
    this.#emit(this.#rest + this.#decoder.end())
    this.#rest = ''
  }

  #emit(line: string): void {
    const text = line.endsWith('\r') ? line.slice(0, -1) : line
    for (let at = 0; at < text.length; at += maxChars) this.#onLine(text.slice(at, at + maxChars))
  }
}
