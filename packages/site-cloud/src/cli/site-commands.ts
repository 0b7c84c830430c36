import { resolve } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { type Command, InvalidArgumentError } from 'commander'
import type { Site } from '../site-center/index.js'
import { type CliContext, clientOf } from './cli-context.js'
import { newSite } from './new-site.js'
import { show, table } from './output.js'
import { engineRange, templates } from './platform-templates.js'
import { proveCommand } from './prove-command.js'
import { pushSite } from './push-site.js'
import { formatSite, formatSites, formatVersions } from './site-format.js'
import { waitForSite } from './wait.js'

interface Waiting {
  readonly wait?: boolean
  readonly timeout: number
}

/** `aaas site ...` */
export function siteCommands(program: Command, context: () => CliContext): void {
  const site = program.command('site').description('generate, deploy and operate sites')
  buildCommands(site, context)
  stateCommands(site, context)
  readCommands(site, context)
  proveCommand(site, context)
}

/** A whole number of a flag. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number')
  return value
}

function withWait(command: Command): Command {
  return command
    .option('--wait', 'wait until the host has carried it out; exit code 1 when it fails')
    .option('--timeout <seconds>', 'longest wait', wholeNumber, 120)
}

function buildCommands(site: Command, context: () => CliContext): void {
  site
    .command('new <name>')
    .description('write a folder with a site.json to start from')
    .option('--template <name>', 'template', 'shop')
    .option('--dir <folder>', 'folder to write; default ./<name>')
    .action(async (name: string, options: { template: string; dir?: string }) => {
      const { output } = context()
      const dir = resolve(options.dir ?? name)
      show(output, await newSite({ name, template: options.template, dir }), made => `wrote ${made.files.join(', ')} in ${made.dir}`)
    })
  withWait(
    site
      .command('push <folder>')
      .description('generate the package of a site.json, sign it and make it the next version')
      .option('--deploy', 'deploy the version at once'),
  ).action(async (folder: string, options: Waiting & { deploy?: boolean }) => {
    const { output, home, clock } = context()
    const client = clientOf(context())
    const pushed = await pushSite({ client, home, siteDir: resolve(folder), templates, engine: engineRange })
    if (options.deploy === true) await client.deploy({ site: pushed.site, version: pushed.version.version })
    if (options.deploy === true && options.wait === true) {
      await waitForSite({ client, clock, site: pushed.site, timeoutMs: options.timeout * 1000, ...progress(context()) })
    }
    show(output, pushed, value =>
      [`${value.site}: version ${value.version.version} (${value.version.package.version})`, ...value.plan.reasons.map(reason => `  ${reason}`)].join('\n'),
    )
  })
}

function stateCommands(site: Command, context: () => CliContext): void {
  const change = (
    command: Command,
    act: (client: ReturnType<typeof clientOf>, name: string, args: readonly string[], options: Record<string, unknown>) => Promise<Site>,
  ): void => {
    withWait(command).action(async (...all: unknown[]) => {
      const options = all.at(-2) as Waiting & Record<string, unknown>
      const args = all.slice(0, -2) as string[]
      const client = clientOf(context())
      const name = args[0] ?? ''
      let view = await act(client, name, args.slice(1), options)
      if (options.wait === true) {
        view = await waitForSite({ client, clock: context().clock, site: name, timeoutMs: options.timeout * 1000, ...progress(context()) })
      }
      show(context().output, view, formatSite)
    })
  }
  change(
    site.command('deploy <name>').description('roll the site to a version').option('--version <n>', 'default: the newest', wholeNumber),
    (client, name, _args, options) =>
      client.deploy({ site: name, ...(options.version === undefined ? {} : { version: options.version as number }) }),
  )
  change(
    site.command('rollback <name>').description('go back to an earlier version').option('--to <n>', 'default: the one before', wholeNumber),
    (client, name, _args, options) => client.rollback({ site: name, ...(options.to === undefined ? {} : { version: options.to as number }) }),
  )
  change(site.command('scale <name> <instances>').description('set the number of instances'), (client, name, [instances]) =>
    client.scale({ site: name, instances: wholeNumber(instances ?? '') }),
  )
  change(site.command('restart <name>').description('replace the instances one at a time'), (client, name) => client.restart({ site: name }))
  change(site.command('maintenance <name> <on|off>').description('show or hide the maintenance page'), (client, name, [state]) => {
    if (state !== 'on' && state !== 'off') {
      throw new CloudError('core.contract.invalid-input', "say 'on' or 'off'", { field: 'on|off' })
    }
    return client.setMaintenance({ site: name, on: state === 'on' })
  })
}

function readCommands(site: Command, context: () => CliContext): void {
  site
    .command('ls')
    .description('all sites and platform services')
    .action(async () => show(context().output, (await clientOf(context()).listSites({})).sites, formatSites))
  site
    .command('status <name>')
    .description('one site with its instances')
    .action(async (name: string) => show(context().output, await clientOf(context()).getSite({ site: name }), formatSite))
  site
    .command('versions <name>')
    .description('versions, newest first')
    .action(async (name: string) => show(context().output, (await clientOf(context()).listVersions({ site: name })).versions, formatVersions))
  site
    .command('usage <name>')
    .description('what the site used, from the metering counters')
    .action(async (name: string) =>
      show(context().output, await clientOf(context()).usage({ site: name }), usage =>
        table(['COUNTER', 'TOTAL'], Object.entries(usage.counters).map(([key, value]) => [key, String(value)])),
      ),
    )
  site
    .command('logs <name>')
    .description('log lines of all instances, running or gone; oldest first')
    .option('--instance <id>')
    .option('--text <part>', 'only lines that contain this')
    .option('--level <level>', 'debug, info, warn or error, and above')
    .option('--limit <n>', 'lines', wholeNumber, 100)
    .action(async (name: string, options: { instance?: string; text?: string; level?: 'info'; limit: number }) => {
      const { records } = await clientOf(context()).logs({ site: name, ...options })
      show(context().output, records, lines =>
        lines
          .toReversed()
          .map(line => `${new Date(line.at).toISOString()} ${line.level.padEnd(5)} ${line.instance} ${line.message} ${JSON.stringify(line.fields)}`)
          .join('\n'),
      )
    })
}

/** Progress goes to standard error, so that standard output stays the result. */
function progress(context: CliContext): { progress?: (text: string) => void } {
  return context.output.json ? {} : { progress: text => context.output.error(text) }
}
