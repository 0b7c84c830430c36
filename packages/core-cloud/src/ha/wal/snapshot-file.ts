import { createHash, type Hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { LogFile } from '../../kernel/files/files.js'
import type { SnapshotMark } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import { isNumber, parseMark, RecordError, readJson, type StoredState } from './record-body.js'
import { Damage } from './scan.js'
import { type WalIdentity, walFormat } from './segment-head.js'

/*
 * A snapshot's file: a head of 8 KiB, then the state in chunks of 1 MiB, the last one shorter. Head and chunks begin
 * with four bytes of length and four of checksum (CRC-32 of the content; a chunk's starts from its number and its
 * snapshot's place, so that no chunk is taken for another). The head is JSON and is written last, or first when a
 * snapshot is received, whose length and sha256 are known.
 */

export const chunkBytes = 1_048_576
const headBytes = 8_192
const frame = 8

export interface SnapshotHead extends WalIdentity {
  readonly group: GroupId
  readonly mark: SnapshotMark
  readonly state: StoredState
}

const chunkPlace = (chunk: number): number => headBytes + chunk * (chunkBytes + frame)

export async function writeSnapshotHead(file: LogFile, head: SnapshotHead): Promise<void> {
  const { mark, state, ...rest } = head
  const text = Buffer.from(JSON.stringify({ format: walFormat, ...rest, mark: { ...mark, state } }))
  if (text.length + frame > headBytes) throw new RangeError(`a head of ${text.length} bytes`)
  const block = Buffer.alloc(headBytes)
  block.writeUInt32LE(text.length, 0)
  block.writeUInt32LE(crc32(text), 4)
  block.set(text, frame)
  await file.write([block], 0)
}

/** @throws Damage. */
export async function readSnapshotHead(file: LogFile): Promise<SnapshotHead> {
  const block = await file.read(0, headBytes)
  const length = block.length < headBytes ? 0 : block.readUInt32LE(0)
  const text = block.subarray(frame, frame + length)
  if (length === 0 || length > headBytes - frame || crc32(text) !== block.readUInt32LE(4)) {
    throw new Damage(0, 'the file does not begin with its head')
  }
  try {
    const { format, cluster, node, group, mark } = readJson(text)
    if (format !== walFormat || typeof cluster !== 'string' || !isNumber(node) || !isNumber(group)) {
      throw new RecordError('a head of nobody')
    }
    const stored = parseMark(mark)
    if (stored.state === undefined) throw new RecordError('a head without a state')
    return { cluster, node, group, mark: stored.mark, state: stored.state }
  } catch (error) {
    throw new Damage(0, error instanceof Error ? error.message : String(error))
  }
}

/** Takes bytes in pieces of any length and writes chunks. */
export class ChunkWriter {
  /** Bytes that came. */
  bytes = 0
  readonly #hash: Hash = createHash('sha256')
  #chunk = Buffer.allocUnsafe(frame + chunkBytes)
  #filled = 0
  #chunks = 0

  constructor(
    readonly file: LogFile,
    readonly salt: number,
  ) {}

  /** Goes on behind chunks that are there. */
  resume(data: Buffer): void {
    this.#hash.update(data)
    this.bytes += data.length
    this.#chunks += 1
  }

  async write(piece: Uint8Array): Promise<void> {
    this.#hash.update(piece)
    this.bytes += piece.length
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + chunkBytes - this.#filled)
      this.#chunk.set(part, frame + this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === chunkBytes) await this.#flush()
    }
  }

  /** @returns what was written, when the operating system has all of it. */
  async finish(): Promise<StoredState> {
    if (this.#filled > 0) await this.#flush()
    return { bytes: this.bytes, sha256: this.#hash.digest('hex') }
  }

  async #flush(): Promise<void> {
    const block = this.#chunk.subarray(0, frame + this.#filled)
    block.writeUInt32LE(this.#filled, 0)
    block.writeUInt32LE(crc32(block.subarray(frame), (this.salt + this.#chunks) >>> 0), 4)
    await this.file.write([block], chunkPlace(this.#chunks))
    this.#chunks += 1
    this.#filled = 0
  }
}

/** What chunks' checksums start from. */
export function saltOf(group: GroupId, { index, term }: SnapshotMark): number {
  return crc32(`${group}/${index}/${term}`)
}

/** @returns the chunk's content. @throws Damage when it is not what was written. */
export async function readChunk(file: LogFile, chunk: number, bytes: number, salt: number): Promise<Buffer> {
  const length = Math.min(chunkBytes, bytes - chunk * chunkBytes)
  const place = chunkPlace(chunk)
  const block = await file.read(place, frame + length)
  const content = block.subarray(frame)
  const whole = block.length === frame + length && block.readUInt32LE(0) === length
  if (!whole || crc32(content, (salt + chunk) >>> 0) !== block.readUInt32LE(4)) {
    throw new Damage(place, `chunk ${chunk} of the snapshot has a wrong checksum`)
  }
  return content
}

/** Reads all of it. @throws Damage. */
export async function checkChunks(file: LogFile, { group, mark, state }: SnapshotHead): Promise<void> {
  const salt = saltOf(group, mark)
  const hash = createHash('sha256')
  for (let chunk = 0; chunk * chunkBytes < state.bytes; chunk++) {
    hash.update(await readChunk(file, chunk, state.bytes, salt))
  }
  if (hash.digest('hex') !== state.sha256) throw new Damage(headBytes, 'the sum of the whole snapshot is wrong')
}
