import { malformed } from './byte-reader.js'

/*
 * The data of an entry of kind `command`. An opening is: 1 (1 byte), token (8). A command is: 2 (1 byte), session (8),
 * sequence (8), lowest open sequence (8), then what the state machine gets. Numbers little-endian.
 */

/** What a session costs each entry. */
export const commandHeadBytes = 25

export type Command =
  | { readonly kind: 'open'; readonly token: number }
  | {
      readonly kind: 'run'
      readonly session: number
      readonly sequence: number
      /** The proposer has heard of the outcome of everything before it, or does not care any more. */
      readonly floor: number
      readonly body: Uint8Array
    }

export function encodeOpening(token: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(9)
  bytes[0] = 1
  writeNumber(bytes, token, 1)
  return bytes
}

export function encodeCommand(session: number, sequence: number, floor: number, body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(commandHeadBytes + body.length)
  bytes[0] = 2
  writeNumber(bytes, session, 1)
  writeNumber(bytes, sequence, 9)
  writeNumber(bytes, floor, 17)
  bytes.set(body, commandHeadBytes)
  return bytes
}

/** @throws CloudError `core.ha.bad-message`. */
export function decodeCommand(data: Uint8Array): Command {
  const [kind] = data
  if (kind === 1 && data.length === 9) return { kind: 'open', token: readNumber(data, 1) }
  if (kind !== 2 || data.length < commandHeadBytes) throw malformed(`a command of kind ${kind}, ${data.length} bytes`)
  return {
    kind: 'run',
    session: readNumber(data, 1),
    sequence: readNumber(data, 9),
    floor: readNumber(data, 17),
    body: data.subarray(commandHeadBytes),
  }
}

/** Session and sequences of the commands of one proposer; session 0 for an opening. */
export function placesOf(commands: readonly Uint8Array[]): {
  readonly session: number
  readonly sequences: readonly number[]
} {
  const sequences: number[] = []
  let session = 0
  for (const data of commands) {
    const command = decodeCommand(data)
    if (command.kind === 'open') continue
    session = command.session
    sequences.push(command.sequence)
  }
  return { session, sequences }
}

function writeNumber(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

function readNumber(bytes: Uint8Array, at: number): number {
  const value = readHalf(bytes, at + 4) * 0x1_0000_0000 + readHalf(bytes, at)
  if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number beyond 2^53')
  return value
}

function readHalf(bytes: Uint8Array, at: number): number {
  const high = (bytes[at + 3] as number) * 0x100_0000
  return high + (((bytes[at + 2] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at] as number))
}
