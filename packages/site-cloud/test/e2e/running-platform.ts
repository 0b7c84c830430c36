import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../../bin/aaas.mjs', import.meta.url))

export interface RunningPlatformProcess extends AsyncDisposable {
  readonly home: string
  readonly edgePort: number
  readonly consolePort: number
  /** Runs a command line against this platform. */
  cli(...argv: string[]): Promise<{ readonly code: number; readonly out: string; readonly error: string }>
}

/** The whole platform with a small shop, as `npm start` starts it, in a folder and on ports of its own. */
export async function startPlatformProcess(): Promise<RunningPlatformProcess> {
  const home = mkdtempSync(join(tmpdir(), 'aaas-e-'))
  const [edgePort, consolePort] = [await freePort(), await freePort()]
  const env = { ...process.env, AAAS_HOME: home, AAAS_PORT: String(edgePort), AAAS_CONSOLE_PORT: String(consolePort) }
  const cli: RunningPlatformProcess['cli'] = (...argv) => run(env, argv)
  const site = join(home, 'sample')
  const made = await cli('site', 'new', 'shop', '--dir', site)
  if (made.code !== 0) throw new Error(made.error)
  const child = spawn(process.execPath, [bin, '--json', 'up', '--site', site], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  await announced(child)
  return {
    home,
    edgePort,
    consolePort,
    cli,
    async [Symbol.asyncDispose]() {
      const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
      child.kill('SIGINT')
      await gone
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function announced(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let errors = ''
    child.stderr?.on('data', part => (errors += String(part)))
    child.stdout?.on('data', part => {
      if (String(part).includes('"storefront"')) resolve()
    })
    child.once('exit', code => reject(new Error(`aaas up ended with ${code}: ${errors.slice(-3000)}`)))
  })
}

function run(env: NodeJS.ProcessEnv, argv: readonly string[]): Promise<{ code: number; out: string; error: string }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [bin, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let error = ''
    child.stdout.on('data', part => (out += String(part)))
    child.stderr.on('data', part => (error += String(part)))
    child.once('exit', code => resolve({ code: code ?? 1, out, error }))
  })
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
