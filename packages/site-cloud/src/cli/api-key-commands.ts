import type { Command } from 'commander'
import { positiveNumber, withExamples } from './arguments.js'
import { type CliContext, clientOf } from './cli-context.js'
import { show, table } from './output.js'

interface Key {
  readonly keyId: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly requestsPerSecond: number
  readonly createdAt: number
}

const contract = 'site.shop-admin'

/** `aaas api-key ...`: keys of a site's open API. */
export function apiKeyCommands(program: Command, context: () => CliContext): void {
  const command = program.command('api-key').description("keys of a site's open API")
  withExamples(
    command
      .command('create <site>')
      .description('make a key; it is shown this once')
      .requiredOption('--name <name>', 'what the key is for')
      .option('--scope <scopes...>', 'what it may do, such as order.place order.read', ['order.place'])
      .option('--rate <n>', 'requests a second', positiveNumber, 100),
    'aaas api-key create shop --name erp',
    'aaas api-key create shop --name erp --scope order.place order.read --rate 50',
  ).action(async (site: string, options: { name: string; scope: string[]; rate: number }) => {
    const input = { name: options.name, scopes: options.scope, requestsPerSecond: options.rate }
    const { output } = await clientOf(context()).callSite({ site, contract, method: 'createApiKey', input })
    show(
      context().output,
      output as { keyId: string; apiKey: string },
      made => `${made.apiKey}\n(key ${made.keyId}; it is not shown again)`,
    )
  })
  withExamples(command.command('ls <site>').description('keys that work'), 'aaas api-key ls shop').action(
    async (site: string) => {
      const { output } = await clientOf(context()).querySite({ site, contract, method: 'listApiKeys', input: {} })
      show(context().output, (output as { keys: Key[] }).keys, keys =>
        table(
          ['KEY', 'NAME', 'SCOPES', 'REQUESTS/S', 'CREATED'],
          keys.map(key => [
            key.keyId,
            key.name,
            key.scopes.join(' '),
            String(key.requestsPerSecond),
            new Date(key.createdAt).toISOString(),
          ]),
        ),
      )
    },
  )
  withExamples(
    command.command('revoke <site> <key>').description('end a key; every instance refuses it within five seconds'),
    'aaas api-key revoke shop 36b44evaj53hk',
  ).action(async (site: string, keyId: string) => {
    await clientOf(context()).callSite({ site, contract, method: 'revokeApiKey', input: { keyId } })
    show(context().output, { site, revoked: keyId }, () => `${keyId} is revoked`)
  })
}
