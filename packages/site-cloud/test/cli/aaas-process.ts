import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { runCommand } from '../../src/cli/main.js'
import { platformHome } from '../../src/cli/platform-home.js'

const bin = fileURLToPath(new URL('../../../bin/aaas.mjs', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

export interface AaasProcess {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
  /** Resolves when the text stands on standard output or standard error. */
  said(text: string): Promise<void>
}

/** Starts a command line of its own, as a shell does. */
export function startAaas(env: Readonly<Record<string, string>>, ...argv: string[]): AaasProcess {
  const child = spawn(process.execPath, [bin, ...argv], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let error = ''
  const listeners = new Set<() => void>()
  const heard = (): void => listeners.forEach(listener => listener())
  child.stdout.on('data', part => {
    out += String(part)
    heard()
  })
  child.stderr.on('data', part => {
    error += String(part)
    heard()
  })
  const ended = new Promise<Outcome>(resolve => child.once('close', code => resolve({ code, out, error })))
  const said = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!out.includes(text) && !error.includes(text)) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      void ended.then(outcome =>
        reject(new Error(`ended without saying '${text}': ${JSON.stringify(outcome).slice(0, 2000)}`)),
      )
      look()
    })
  return { child, ended, said }
}

/** Runs a command line to its end. */
export function aaas(env: Readonly<Record<string, string>>, ...argv: string[]): Promise<Outcome> {
  return startAaas(env, ...argv).ended
}

/** Runs a command line with `--json` in this process, which spares half a second of start. */
export async function aaasHere(home: string, ...argv: string[]): Promise<Outcome> {
  let out = ''
  let error = ''
  const code = await runCommand([...argv, '--json'], {
    home: platformHome({ AAAS_HOME: home }),
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    output: { json: true, line: text => void (out += `${text}\n`), error: text => void (error += `${text}\n`) },
    environment: {},
    interrupted: () => new AbortController().signal,
  })
  return { code, out, error }
}

/** The error that a command wrote with `--json`: exactly one JSON object on standard error. */
export function errorOf({ error }: Outcome): {
  readonly code: string
  readonly field?: string
  readonly message: string
} {
  return (JSON.parse(error) as { error: { code: string; field?: string; message: string } }).error
}
