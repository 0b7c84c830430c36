import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type PostgresOptions, pgDatabase, type RunningPostgres, startPostgres } from '@aaas/support-cloud/rdbms'
import { eventually } from '@aaas/testing'

/** A folder for one server, removed at the end; mode 0700 and ours, like a home directory. */
export async function serverHome(prefix = 'aaas-pg-'): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), prefix))
  return {
    path,
    async [Symbol.asyncDispose]() {
      // A server whose owner was killed ends a moment later, and writes until then.
      const ended = async (): Promise<boolean> => {
        const pid = await serverPid(path)
        return pid === undefined || !alive(pid)
      }
      await eventually('the server has ended', ended).catch(() => undefined)
      await rm(path, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

export function start(home: string, options: Partial<PostgresOptions> = {}): Promise<RunningPostgres> {
  return startPostgres({
    dataDir: join(home, 'postgres'),
    socketDir: join(home, 'run'),
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    logger: silentLogger,
    ...options,
  })
}

export interface Owner {
  readonly child: ChildProcess
  readonly said: { readonly url: string; readonly adopted: boolean; readonly code?: string }
}

/** Starts a process that owns a server, as another user when asked. */
export async function startOwner(
  home: string,
  options: { readonly uid?: number; readonly engine?: string } = {},
): Promise<Owner> {
  const script = fileURLToPath(new URL('./postgres-owner.js', import.meta.url))
  const child = spawn(process.execPath, [script, join(home, 'postgres'), join(home, 'run'), options.engine ?? 'auto'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, said: JSON.parse(line) as Owner['said'] }
}

export async function killOwner(owner: Owner): Promise<void> {
  const exit = once(owner.child, 'exit')
  owner.child.kill('SIGKILL')
  await exit
}

export async function serverPid(home: string): Promise<number | undefined> {
  const text = await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  return text === '' ? undefined : Number(text.split('\n')[0])
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export async function sql(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const database = pgDatabase({ url, maxConnections: 1 })
  try {
    return await database.query({ text })
  } finally {
    await database[Symbol.asyncDispose]()
  }
}
