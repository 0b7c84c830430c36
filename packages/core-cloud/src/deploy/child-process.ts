import { fork } from 'node:child_process'
import { LineSplitter } from './line-splitter.js'

export interface ChildOptions {
  /** Absolute path of the module the child runs. */
  readonly module: string
  /** Flags of Node itself. */
  readonly nodeFlags: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  readonly cwd: string
  readonly onLine: (line: string, stream: 'stdout' | 'stderr') => void
  readonly onMessage: (message: unknown) => void
}

/** A forked Node process whose output is read line by line. */
export interface Child {
  readonly pid: number | undefined
  /** Resolves, never rejects, when the process is gone and its output was read to the end. */
  readonly exited: Promise<{
    readonly code: number | null
    readonly signal: NodeJS.Signals | null
    readonly lastErrorLine: string
  }>
  /** What is sent to a child that has gone is dropped. */
  send(message: object): void
  kill(signal: NodeJS.Signals): void
}

export function startChild(options: ChildOptions): Child {
  const child = fork(options.module, [], {
    execArgv: [...options.nodeFlags],
    env: options.environment,
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let lastErrorLine = ''
  const out = new LineSplitter(line => options.onLine(line, 'stdout'))
  const err = new LineSplitter(line => {
    // Of a stack trace the line that names the error says most.
    if (/^\s*(\w*(Error|Exception)\b|FATAL)/.test(line)) lastErrorLine = line.trim().slice(0, 500)
    options.onLine(line, 'stderr')
  })
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  child.on('message', options.onMessage)
  const exited = new Promise<Awaited<Child['exited']>>(resolve => {
    // `close` comes after `exit`, when the pipes are at their end; a child that could not be started has no `exit`.
    child.once('close', (code, signal) => {
      out.end()
      err.end()
      resolve({ code, signal, lastErrorLine })
    })
    child.once('error', error => {
      lastErrorLine ||= error.message
      if (child.pid === undefined) resolve({ code: null, signal: null, lastErrorLine })
    })
  })
  return {
    pid: child.pid,
    exited,
    send(message) {
      // The callback takes the error of a channel that closed at this moment; `exited` is what tells.
      if (child.connected) child.send(message, () => undefined)
    },
    kill(signal) {
      child.kill(signal)
    },
  }
}

/** How a process ended, for people. */
export function describeExit(exit: Awaited<Child['exited']>): string {
  const how = exit.signal === null ? `ended with code ${exit.code ?? 'unknown'}` : `was killed by ${exit.signal}`
  return exit.lastErrorLine === '' ? how : `${how}: ${exit.lastErrorLine}`
}
