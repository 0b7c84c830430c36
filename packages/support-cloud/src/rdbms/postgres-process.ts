import { spawn } from 'node:child_process'
import { runAs, type ServerAccount } from './postgres-account.js'

/** What a tool of PostgreSQL sees of the environment: nothing of ours, messages in English. */
export const toolEnvironment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }

export interface ToolResult {
  /** Exit code; -1 when the program could not be started or was killed. */
  readonly status: number
  readonly output: string
}

const outputLimit = 65_536

/**
 * Runs a tool of PostgreSQL to its end; never rejects, except by `signal`.
 * @param options.folder - an open folder, which the tool knows as file descriptor 3.
 */
export function runTool(options: {
  readonly program: string
  readonly args: readonly string[]
  readonly account: ServerAccount | undefined
  readonly input?: string
  readonly folder?: number
  readonly signal?: AbortSignal
}): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted()
    const child = spawn(options.program, options.args, {
      ...runAs(options.account),
      cwd: '/',
      env: toolEnvironment,
      stdio: ['pipe', 'pipe', 'pipe', options.folder ?? 'ignore'],
      ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: 'SIGTERM' as const }),
    })
    let output = ''
    const collect = (chunk: Buffer): void => {
      if (output.length < outputLimit) output += chunk.toString()
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    child.on('error', error => {
      if (options.signal?.aborted) reject(error)
      else resolve({ status: -1, output: error.message })
    })
    child.on('close', status => resolve({ status: status ?? -1, output }))
  })
}
