import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { runAs, type ServerAccount } from './postgres-account.js'
import { toolEnvironment } from './postgres-process.js'

/**
 * Both scripts block reading standard input, a pipe whose other end only the owner holds: when the owner ends, by its
 * will or by `kill -9`, the read ends and the server is stopped. SIGINT is PostgreSQL's fast shutdown; after
 * thirty seconds SIGQUIT ends it at once (the next start then replays its log). Signals are repeated because the server
 * ignores them in its first milliseconds. Everything that the guard starts it also waits for: no zombie is left to an
 * init process that does not care (containers).
 */
const startScript = `
exec 4<&0 </dev/null
"$@" 4<&- &
server=$!
(
  while read -r line <&4; do :; done
  trap 'wait; exit' TERM
  turn=0
  while kill -INT "$server" 2>/dev/null; do
    turn=$((turn + 1))
    if [ "$turn" -gt 30 ]; then kill -QUIT "$server"; fi
    sleep 1 &
    wait "$!"
  done
) 3<&- &
exec 4<&-
wait "$server"
status=$?
trap '' TERM
kill -TERM 0
wait
exit "$status"
`

/** Arguments: data directory, process id. The file names the server as long as it runs; its id may be reused later. */
const adoptScript = `
exec 4<&0 </dev/null
while read -r line <&4; do :; done
turn=0
while read -r pid 2>/dev/null < "$1/postmaster.pid" && [ "$pid" = "$2" ] && kill -INT "$2" 2>/dev/null; do
  turn=$((turn + 1))
  if [ "$turn" -gt 30 ]; then kill -QUIT "$2"; fi
  sleep 1
done
`

/** Stands between the server and us, and outlives us by the time a shutdown takes. */
export interface Guard {
  /** Resolves when the guard is gone, and with it (unless it was killed or had adopted) the server. */
  readonly ended: Promise<void>
  readonly running: boolean
  /** Closes the pipe and waits for the end. */
  stop(): Promise<void>
  /** From now on the guard does not keep this process alive. */
  release(): void
}

export interface GuardOptions {
  readonly account: ServerAccount | undefined
  /** File descriptors: of the log for output and of the data directory. */
  readonly log: number
  readonly folder: number
}

/** Starts a server under a guard. */
export function guardedServer(
  options: GuardOptions & { readonly program: string; readonly args: readonly string[] },
): Guard {
  return guard(options, startScript, [options.program, ...options.args])
}

/** Watches a server that is running already. */
export function guardRunning(options: GuardOptions & { readonly dataPath: string; readonly pid: number }): Guard {
  return guard(options, adoptScript, [options.dataPath, String(options.pid)])
}

function guard(options: GuardOptions, script: string, args: readonly string[]): Guard {
  const child: ChildProcess = spawn('/bin/sh', ['-c', script, 'aaas-postgres-guard', ...args], {
    ...runAs(options.account),
    cwd: '/',
    env: toolEnvironment,
    stdio: ['pipe', options.log, options.log, options.folder],
    // A session of its own: Ctrl-C in the terminal is for the owner, which then stops the server in order.
    detached: true,
  })
  const ended = once(child, 'exit').then(
    () => undefined,
    () => undefined,
  )
  child.stdin?.on('error', () => undefined)
  return {
    ended,
    get running() {
      return child.pid !== undefined && child.exitCode === null && child.signalCode === null
    },
    async stop() {
      child.ref()
      child.stdin?.end()
      await ended
    },
    release() {
      child.unref()
      if (child.stdin instanceof Socket) child.stdin.unref()
    },
  }
}
