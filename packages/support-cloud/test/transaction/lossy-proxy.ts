import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What the proxy does with the COMMIT of a connection. */
type CommitFate =
  /** Nothing special. */
  | 'pass'
  /** The server gets it and answers it; the connection to the client dies before that. */
  | 'lose-answer'
  /** The server does not get it; both connections die. */
  | 'lose-commit'
  /** The client's connection dies at once; the server's stays open until `late`, then gets the COMMIT. */
  | 'deliver-late'

/** A socket between client and server that loses COMMITs. */
export interface LossyProxy extends Disposable {
  readonly url: string
  /** Fates of the next COMMITs, in order; then they pass. */
  readonly fates: CommitFate[]
  /** Refuses new connections while true. */
  down: boolean
  /** Delivers what `deliver-late` held back. @returns how many. */
  late(): number
  commits: number
}

/**
 * Answers of a pipeline come in pieces, one for each statement. A server whose client goes away between two of them stops
 * there and does not commit: the connection must stand until COMMIT itself was answered.
 */
function loseAnswer(upstream: Socket, commit: Buffer): void {
  let answer = ''
  upstream.on('data', piece => {
    answer += piece.toString('latin1')
    if (/C\0\0\0.(?:COMMIT|ROLLBACK)\0/s.test(answer)) upstream.destroy()
  })
  upstream.write(commit)
}

export async function lossyProxy(serverUrl: string): Promise<LossyProxy> {
  const target = new URL(serverUrl)
  const path = join(target.searchParams.get('host') ?? '', `.s.PGSQL.${target.port === '' ? 5432 : target.port}`)
  const dir = mkdtempSync(join(tmpdir(), 'lossy-'))
  const held: (() => void)[] = []
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    if (proxy.down) return client.destroy()
    const upstream = createConnection(path)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    let keep = false
    client.on('close', () => keep || upstream.destroy())
    upstream.on('close', () => client.destroy())
    upstream.pipe(client)
    client.on('data', chunk => {
      const isCommit = chunk.includes('commit\0')
      if (isCommit) proxy.commits += 1
      const fate = isCommit ? (proxy.fates.shift() ?? 'pass') : 'pass'
      if (fate === 'pass') return upstream.write(chunk)
      keep = true
      upstream.unpipe(client)
      client.destroy()
      if (fate === 'lose-commit') upstream.destroy()
      else if (fate === 'deliver-late') held.push(() => upstream.end(chunk))
      else loseAnswer(upstream, chunk)
      return true
    })
  })
  const proxy: LossyProxy = {
    url: '',
    fates: [],
    down: false,
    commits: 0,
    late: () => held.splice(0).map(deliver => deliver()).length,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  await new Promise<void>(resolve => server.listen(join(dir, '.s.PGSQL.5432'), resolve))
  const url = new URL(serverUrl)
  url.port = ''
  url.searchParams.set('host', dir)
  return Object.assign(proxy, { url: url.href })
}
