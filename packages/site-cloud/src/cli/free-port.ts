import { createServer } from 'node:net'
import { CloudError } from '@aaas/core-cloud/kernel'

/** True when a server could listen on the port now. 0 is always free: the system chooses. */
export function isPortFree(port: number, host: string): Promise<boolean> {
  if (port === 0) return Promise.resolve(true)
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** @throws CloudError `core.deploy.port-in-use` naming the port and the variable that moves it. */
export async function checkPort(
  port: number,
  variable: 'AAAS_PORT' | 'AAAS_CONSOLE_PORT' | 'AAAS_METRICS_PORT',
  host: string,
): Promise<void> {
  if (await isPortFree(port, host)) return
  throw new CloudError(
    'core.deploy.port-in-use',
    `port ${port} is in use by another program; set ${variable} to another`,
    {
      field: variable,
      details: { port },
    },
  )
}

/** @returns the port an environment variable names. @throws CloudError `core.kernel.invalid-config`. */
export function portOf(environment: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const text = environment[name]
  if (text === undefined || text === '') return otherwise
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new CloudError(
    'core.kernel.invalid-config',
    `${name} must be a port from 0 to 65535, not '${text.slice(0, 40)}'`,
    { field: name },
  )
}
