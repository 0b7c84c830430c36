import { existsSync } from 'node:fs'

/** Where a test looks for engines that may be missing on a machine. */
const places = {
  chromium: [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ],
  redis: ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/opt/homebrew/bin/redis-server'],
  nats: [
    '/usr/sbin/nats-server',
    '/usr/bin/nats-server',
    '/usr/local/bin/nats-server',
    '/opt/homebrew/bin/nats-server',
  ],
} as const

/**
 * @returns the path of an engine's program, or what to tell the test runner when it is not on this machine.
 * @throws when `AAAS_REQUIRE` names the engine: where everything must be tested, a skip is a failure.
 */
export function findTestEngine(name: keyof typeof places): { readonly path: string } | { readonly skip: string } {
  const path = places[name].find(existsSync)
  if (path !== undefined) return { path }
  if ((process.env.AAAS_REQUIRE ?? '').split(',').includes(name))
    throw new Error(`AAAS_REQUIRE asks for ${name}, which is not installed`)
  return { skip: `no ${name} on this machine` }
}
