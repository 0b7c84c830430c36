// The service that the simulated group replicates: named registers and a lock that gives fencing tokens, with a memory of
// each client's last write so that a repeated command has its effect once.

export interface Command {
  readonly client: number
  readonly sequence: number
  readonly kind: 'put' | 'cas' | 'take'
  readonly key: string
  readonly value: number
  readonly expected?: number | undefined
}

export type Output = { readonly value: number | undefined } | { readonly ok: boolean } | { readonly token: number }

export interface RegisterState {
  readonly values: Record<string, number>
  readonly sessions: Record<number, { readonly sequence: number; readonly output: Output }>
  /** Of everything that was executed, repetitions too: two members with different pasts have different digests. */
  digest: number
}

/** What every member computes from the same commands in the same order; a planted bug may replace it. */
export interface Machine {
  empty(): RegisterState
  copy(state: RegisterState): RegisterState
  /** @param index - of the log: the fencing token of what is granted here. */
  execute(state: RegisterState, command: Command, index: number): Output
}

export const registers: Machine = {
  empty: () => ({ values: {}, sessions: {}, digest: 0 }),
  copy: ({ values, sessions, digest }) => ({ values: { ...values }, sessions: { ...sessions }, digest }),
  execute(state, command, index) {
    state.digest = (Math.imul(state.digest ^ index, 0x0100_0193) ^ (command.client * 1024 + command.sequence)) >>> 0
    const session = state.sessions[command.client]
    if (session !== undefined && session.sequence >= command.sequence) {
      state.digest ^= 0x5555_5555
      return session.output
    }
    const output = effect(state, command, index)
    state.sessions[command.client] = { sequence: command.sequence, output }
    return output
  },
}

function effect({ values }: RegisterState, { kind, key, value, expected }: Command, index: number): Output {
  if (kind === 'take') return { token: index }
  const ok = kind === 'put' || values[key] === expected
  if (ok) values[key] = value
  return { ok }
}

export function encode(command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command))
}

/** Members share the bytes of an entry: the second one need not parse them again. */
const decoded = new WeakMap<Uint8Array, Command>()

export function decode(data: Uint8Array): Command {
  let command = decoded.get(data)
  if (command === undefined) {
    command = JSON.parse(Buffer.from(data).toString('utf8')) as Command
    decoded.set(data, command)
  }
  return command
}
