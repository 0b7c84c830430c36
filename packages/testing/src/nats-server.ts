import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface NatsServersOptions {
  /** Path of the program, from `findTestEngine('nats')`. */
  readonly program: string
  /** 1 (default) or 3: a cluster. */
  readonly count?: 1 | 3
  /** Lines of configuration for every server, such as `max_payload: 9MB` or an `authorization` block. */
  readonly config?: string | ((folder: string) => string)
  /** Inside the `jetstream` block, such as `max_file: 10MB`. */
  readonly jetstream?: string
  /** False: only core messages. Default true. */
  readonly streams?: boolean
}

/** One server process. */
export interface NatsNode {
  /** Such as `nats://127.0.0.1:41234`. The same after a restart. */
  readonly url: string
  readonly port: number
  readonly running: boolean
  /** Ends it with SIGKILL and waits until it is gone. */
  kill(): Promise<void>
  /** Starts it again on its old port and its old files; resolves when it is healthy. */
  start(): Promise<void>
}

/** Private servers on free ports. Disposing kills them and removes their files. */
export interface NatsServers extends AsyncDisposable {
  readonly nodes: readonly NatsNode[]
  readonly urls: readonly string[]
  readonly folder: string
}

/** Longest wait for a server to be healthy, milliseconds. */
const startMs = 30_000

/** Starts private servers of NATS below a new folder of the machine's temporary one. */
export async function startNats(options: NatsServersOptions): Promise<NatsServers> {
  const count = options.count ?? 1
  const folder = mkdtempSync(join(tmpdir(), 'aaas-nats-'))
  const ports = await freePorts(count * 3)
  const routes = ports.slice(count, 2 * count).map(port => `nats://127.0.0.1:${port}`)
  const nodes = Array.from({ length: count }, (_, index) => {
    const place = { client: ports[index]!, route: ports[count + index]!, monitor: ports[2 * count + index]! }
    const file = join(folder, `${index}.conf`)
    writeFileSync(file, configOf(options, folder, index, place, count === 1 ? [] : routes))
    return new Node(options.program, file, place.client, place.monitor)
  })
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map(node => node.kill()))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map(node => node.start()))
  } catch (error) {
    const logs = nodes.map((_, index) => readFileSync(join(folder, `${index}.log`), 'utf8').slice(-1_000)).join('\n')
    await dispose()
    throw new Error(`nats-server did not start: ${logs}`, { cause: error })
  }
  return { nodes, urls: nodes.map(node => node.url), folder, [Symbol.asyncDispose]: dispose }
}

function configOf(
  options: NatsServersOptions,
  folder: string,
  index: number,
  place: { readonly client: number; readonly route: number; readonly monitor: number },
  routes: readonly string[],
): string {
  const extra = typeof options.config === 'function' ? options.config(folder) : (options.config ?? '')
  return [
    `server_name: s${index}`,
    `listen: 127.0.0.1:${place.client}`,
    `http: 127.0.0.1:${place.monitor}`,
    `log_file: '${folder}/${index}.log'`,
    // A killed server's clients must not be waited for.
    'write_deadline: 5s',
    ...(options.streams === false ? [] : [`jetstream { store_dir: '${folder}/${index}', ${options.jetstream ?? ''} }`]),
    ...(routes.length === 0
      ? []
      : [
          `cluster { name: c, listen: 127.0.0.1:${place.route}, routes: [${routes.map(url => `'${url}'`).join(', ')}] }`,
        ]),
    extra,
    '',
  ].join('\n')
}

/** Kills the server when the test process is gone: its standard input ends then. */
const guard = '"$@" & server=$!; echo $server; cat > /dev/null; kill -9 $server; wait'

class Node implements NatsNode {
  readonly url: string
  readonly #program: string
  readonly #file: string
  readonly #monitor: number
  #guard: ChildProcess | undefined
  #pid = 0

  constructor(
    program: string,
    file: string,
    readonly port: number,
    monitor: number,
  ) {
    this.#program = program
    this.#file = file
    this.#monitor = monitor
    this.url = `nats://127.0.0.1:${port}`
  }

  get running(): boolean {
    return this.#guard !== undefined
  }

  async start(): Promise<void> {
    if (this.#guard !== undefined) return
    const child = spawn('/bin/sh', ['-c', guard, 'sh', this.#program, '-c', this.#file], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#guard = child
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    this.#pid = Number(line)
    await this.#healthy()
  }

  async kill(): Promise<void> {
    const child = this.#guard
    if (child === undefined) return
    this.#guard = undefined
    try {
      process.kill(this.#pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
    const gone = once(child, 'exit')
    child.stdin?.end()
    await gone
  }

  /** Asks the monitoring port until the server says that it and its streams are well. */
  async #healthy(): Promise<void> {
    const end = performance.now() + startMs
    for (;;) {
      try {
        const answer = await fetch(`http://127.0.0.1:${this.#monitor}/healthz`)
        if (answer.ok) return
      } catch {
        // Not listening yet.
      }
      if (performance.now() > end) throw new Error(`${this.url} was not healthy within ${startMs} ms`)
      await new Promise(resolve => setTimeout(resolve, 25))
    }
  }
}

/** Ports that were free a moment ago: all are held until all are known, so none is given twice. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  for (let index = 0; index < count; index++) {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
  }
  const ports = servers.map(server => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Files of a certificate for 127.0.0.1 and the authority that signed it. */
export interface TestCertificate {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Makes an authority and a certificate for 127.0.0.1 with `openssl`, valid for one day. */
export function testCertificate(folder: string): TestCertificate {
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore' })
  }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...curve, '-days', '1', '-subj', '/CN=test', '-keyout', at('ca.key'), '-out', at('ca.pem'))
  openssl('req', ...curve, '-subj', '/CN=127.0.0.1', '-keyout', at('server.key'), '-out', at('server.csr'))
  writeFileSync(at('san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '1', '-extfile', at('san')]
  openssl('x509', '-req', '-in', at('server.csr'), ...signing, '-out', at('server.pem'))
  return { ca: at('ca.pem'), cert: at('server.pem'), key: at('server.key') }
}
