// The service that the simulated group replicates: named registers, with a memory of each client's last write so that a
// repeated command has its effect once.

export interface Command {
  readonly client: number
  readonly sequence: number
  readonly kind: 'put' | 'cas'
  readonly key: string
  readonly value: number
  readonly expected?: number
}

export type Output = { readonly value: number | undefined } | { readonly ok: boolean }

export interface RegisterState {
  readonly values: Record<string, number>
  readonly sessions: Record<number, { readonly sequence: number; readonly output: Output }>
  /** Commands that changed something. */
  writes: number
}

export function emptyState(): RegisterState {
  return { values: {}, sessions: {}, writes: 0 }
}

export function copyOf({ values, sessions, writes }: RegisterState): RegisterState {
  return { values: { ...values }, sessions: { ...sessions }, writes }
}

export function execute(state: RegisterState, command: Command): Output {
  const session = state.sessions[command.client]
  if (session !== undefined && session.sequence >= command.sequence) return session.output
  const fits = command.kind === 'put' || state.values[command.key] === command.expected
  if (fits) {
    state.values[command.key] = command.value
    state.writes += 1
  }
  const output = { ok: fits }
  state.sessions[command.client] = { sequence: command.sequence, output }
  return output
}

export function encode(command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command))
}

export function decode(data: Uint8Array): Command {
  return JSON.parse(Buffer.from(data).toString('utf8')) as Command
}
