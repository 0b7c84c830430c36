import { Argument, type Command } from 'commander'
import type { Site } from '../site-center/index.js'
import { positiveNumber, type Waiting, withExamples, withWait } from './arguments.js'
import { type CliContext, clientOf, progressOf } from './cli-context.js'
import type { SiteCenterClient } from './connection.js'
import { show } from './output.js'
import { formatSite } from './site-format.js'
import { waitForSite } from './wait.js'

/** `aaas site deploy|rollback|scale|restart|maintenance` */
export function siteChangeCommands(site: Command, context: () => CliContext): void {
  const run = (name: string, options: Waiting, act: (client: SiteCenterClient) => Promise<Site>): Promise<void> =>
    change(context(), name, options, act)
  withExamples(
    withWait(
      site
        .command('deploy <name>')
        .description('roll the site to a version; reverts by itself when it never gets healthy')
        .option('--version <n>', 'default: the newest', positiveNumber),
    ),
    'aaas site deploy shop --wait',
    'aaas site deploy shop --version 3 --wait',
  ).action((name: string, options: Waiting & { version?: number }) =>
    run(name, options, client =>
      client.deploy({ site: name, ...(options.version === undefined ? {} : { version: options.version }) }),
    ),
  )
  withExamples(
    withWait(
      site
        .command('rollback <name>')
        .description('go back to an earlier version')
        .option('--to <n>', 'default: the one before', positiveNumber),
    ),
    'aaas site rollback shop --wait',
    'aaas site rollback shop --to 2',
  ).action((name: string, options: Waiting & { to?: number }) =>
    run(name, options, client =>
      client.rollback({ site: name, ...(options.to === undefined ? {} : { version: options.to }) }),
    ),
  )
  withExamples(
    withWait(
      site
        .command('scale <name>')
        .description('set the number of instances')
        .addArgument(new Argument('<instances>', '1 to 64').argParser(positiveNumber)),
    ),
    'aaas site scale shop 4 --wait',
  ).action((name: string, instances: number, options: Waiting) =>
    run(name, options, client => client.scale({ site: name, instances })),
  )
  withExamples(
    withWait(site.command('restart <name>').description('replace the instances one at a time, without a lost request')),
    'aaas site restart shop --wait',
  ).action((name: string, options: Waiting) => run(name, options, client => client.restart({ site: name })))
  withExamples(
    withWait(
      site
        .command('maintenance <name>')
        .description('show or hide the maintenance page')
        .addArgument(new Argument('<state>', 'whether it is shown').choices(['on', 'off'])),
    ),
    'aaas site maintenance shop on',
    'aaas site maintenance shop off --wait',
  ).action((name: string, state: 'on' | 'off', options: Waiting) =>
    run(name, options, client => client.setMaintenance({ site: name, on: state === 'on' })),
  )
}

async function change(
  context: CliContext,
  site: string,
  options: Waiting,
  act: (client: SiteCenterClient) => Promise<Site>,
): Promise<void> {
  const client = clientOf(context)
  let view = await act(client)
  if (options.wait === true) {
    const timeoutMs = options.timeout * 1000
    view = await waitForSite({
      client,
      clock: context.clock,
      site,
      timeoutMs,
      progress: progressOf(context),
      signal: context.interrupted(),
    })
  }
  show(context.output, view, formatSite)
}
