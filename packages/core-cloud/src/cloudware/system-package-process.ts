import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { basename, dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { encodeFrame, FrameReader, FrameWriter, maxFrameBytes } from './frames.js'
import type { LaunchPackage, PackageProcess, PackageProcessEvents } from './package-process.js'

const childMain = fileURLToPath(new URL('./system-cloudware-child.js', import.meta.url))

/** Bytes that may wait for a process that does not read. */
const maxUnreadBytes = 8 * 1024 * 1024
const maxLineChars = 1_000
/** Memory of a Node process that does nothing, MiB; the rest of the limit is for the package's heap. */
const baselineMb = 40

let deathSignal: boolean | undefined

/**
 * Linux ends the child with its parent when asked to: the only way out for a child that is in an endless loop while its host
 * is killed. Elsewhere a child ends when it sees the socket close, which needs a turn of its event loop.
 */
function hasDeathSignal(): boolean {
  if (process.platform !== 'linux') return false
  if (deathSignal !== undefined) return deathSignal
  const { status, error } = spawnSync('setpriv', ['--pdeathsig', 'KILL', '--no-new-privs', 'true'])
  // A machine that is out of processes or files says nothing about the next try.
  if (error !== undefined && (error as NodeJS.ErrnoException).code !== 'ENOENT') return false
  deathSignal = status === 0
  return deathSignal
}

/**
 * Flags of Node's permission model: the package reads its own folder, the platform's packages and what these depend on;
 * it writes nothing, starts no process, no thread and no native add-on. A seat belt, not a wall: the network stays open,
 * and hostile code needs confinement by the operating system.
 */
function confinement(dir: string): string[] {
  const platform = resolve(childMain, '../../../..')
  // Both names, when a link leads to the folder: the loader follows it.
  const real = existsSync(dir) ? realpathSync(dir) : dir
  const readable = [dir, real, join(dirname(dir), 'node_modules'), platform]
  for (let folder = dirname(platform); folder !== dirname(folder); folder = dirname(folder)) {
    const modules = basename(folder) === 'node_modules' ? folder : join(folder, 'node_modules')
    if (existsSync(modules)) readable.push(modules)
  }
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
  // Node 20 ends with a failed assertion when it is given a path twice.
  const paths = [...new Set(readable)].map(path => `--allow-fs-read=${path}`)
  return [flag, '--disable-warning=ExperimentalWarning', ...paths]
}

/**
 * Starts packages as child processes with an empty environment, a heap limit, and one socket to the host.
 * @param options.nodeOptions - more flags for Node.
 * @param options.confined - see {@link confinement}.
 */
export function systemLaunchPackage(options: {
  readonly nodeOptions: readonly string[]
  readonly confined: boolean
}): LaunchPackage {
  return ({ dir, memoryMb, events }) => {
    const heapMb = Math.max(16, memoryMb - baselineMb)
    const limits = [`--max-old-space-size=${heapMb}`, '--max-semi-space-size=4']
    const args = [...limits, ...(options.confined ? confinement(dir) : []), ...options.nodeOptions, childMain]
    const [command, prefix] = hasDeathSignal()
      ? ['setpriv', ['--pdeathsig', 'KILL', '--no-new-privs', process.execPath]]
      : [process.execPath, []]
    const child = spawn(command, [...prefix, ...args], {
      cwd: dir,
      // No secret of the host, no NODE_OPTIONS, no proxy. PATH is for setpriv alone, which keeps it.
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', TZ: process.env.TZ ?? 'UTC' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    })
    return new SystemPackageProcess(child, events)
  }
}

class SystemPackageProcess implements PackageProcess {
  readonly #child: ChildProcess
  /** Absent when the machine is out of file descriptors or processes: the child's 'error' tells. */
  readonly #socket: Socket | undefined
  readonly #writer: FrameWriter
  #exited = false

  constructor(child: ChildProcess, events: PackageProcessEvents) {
    this.#child = child
    this.#socket = (child.stdio as ChildProcess['stdio'] | undefined)?.[3] as Socket | undefined
    this.#writer = new FrameWriter(bytes => {
      if (this.#socket?.destroyed === false) this.#socket.write(bytes)
    })
    const reader = new FrameReader()
    let broken: string | undefined
    let spawnError: string | undefined
    this.#socket?.on('data', (chunk: Buffer) => {
      if (broken !== undefined) return
      try {
        for (const frame of reader.read(chunk)) events.frame(frame)
      } catch (error) {
        broken = `sent what is not a frame: ${error instanceof Error ? error.message : String(error)}`
        this.kill()
      }
    })
    // EPIPE and ECONNRESET come with the exit, which tells more.
    this.#socket?.on('error', () => undefined)
    if (child.stdout) eachLine(child.stdout, line => events.printed(line))
    if (child.stderr) eachLine(child.stderr, line => events.printed(line))
    child.on('error', error => {
      spawnError = `could not start: ${error.message}`
      if (child.pid === undefined) finish(null, null)
    })
    // 'close' waits for the output, whose last line is often the reason; a grandchild that keeps it open must not hold us up.
    child.on('exit', (code, signal) => {
      const late = setTimeout(() => finish(code, signal), 100)
      child.on('close', () => {
        clearTimeout(late)
        finish(code, signal)
      })
    })
    const finish = (code: number | null, signal: string | null): void => {
      if (this.#exited) return
      this.#exited = true
      this.#socket?.destroy()
      child.stdout?.destroy()
      child.stderr?.destroy()
      events.exited(broken ?? spawnError ?? (signal === null ? `exited with code ${code}` : `was ended by ${signal}`))
    }
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(frame: Parameters<PackageProcess['send']>[0]): boolean {
    if (this.#exited || this.#socket === undefined || this.#socket.writableLength > maxUnreadBytes) return false
    const bytes = encodeFrame(frame)
    if (bytes.length - 4 > maxFrameBytes) return false
    this.#writer.send(bytes)
    return true
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async residentBytes(): Promise<number | undefined> {
    if (this.#exited || this.pid === undefined) return undefined
    // `status` and not `statm`: it counts kB, not pages, whose size differs between machines.
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '')
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    return kib === undefined ? undefined : Number(kib) * 1_024
  }
}

function eachLine(stream: Readable, take: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('error', () => undefined)
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = (lines.pop() ?? '').slice(0, maxLineChars)
    for (const line of lines) if (line.trim() !== '') take(line.slice(0, maxLineChars))
  })
  stream.on('end', () => {
    if (rest.trim() !== '') take(rest)
  })
}
