import { resolve } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type Waiting, withExamples, withWait } from './arguments.js'
import { type CliContext, clientOf, progressOf } from './cli-context.js'
import { newSite } from './new-site.js'
import { show } from './output.js'
import { engineRange, platformTemplates } from './platform-templates.js'
import { pushSite } from './push-site.js'
import { waitForSite } from './wait.js'

/** `aaas site new|push` */
export function siteBuildCommands(site: Command, context: () => CliContext): void {
  withExamples(
    site
      .command('new <name>')
      .description('write a folder with a site.json and a sample catalogue to start from')
      .option('--template <name>', 'template', 'shop')
      .option('--dir <folder>', 'where to; default: a folder of the name'),
    'aaas site new tea-house',
    'aaas site new tea-house --dir sites/tea',
  ).action(async (name: string, options: { template: string; dir?: string }) => {
    const made = await newSite({ name, template: options.template, dir: resolve(options.dir ?? name) })
    show(context().output, made, ({ files, dir }) => `wrote ${files.join(', ')} in ${dir}`)
  })
  withExamples(
    withWait(
      site
        .command('push <folder>')
        .description('generate the package of a site.json, sign it and make it the next version')
        .option('--deploy', 'deploy the version at once'),
    ),
    'aaas site push tea-house',
    'aaas site push tea-house --deploy --wait',
  ).action((folder: string, options: Waiting & { deploy?: boolean }) => push(context(), resolve(folder), options))
}

async function push(context: CliContext, siteDir: string, options: Waiting & { deploy?: boolean }): Promise<void> {
  const { output, home, clock } = context
  if (options.wait === true && options.deploy !== true) {
    throw new CloudError('core.contract.invalid-input', '--wait waits for a deployment; add --deploy', {
      field: '--wait',
    })
  }
  const client = clientOf(context)
  const pushed = await pushSite({ client, home, siteDir, templates: platformTemplates(home), engine: engineRange })
  if (options.deploy === true) await client.deploy({ site: pushed.site, version: pushed.version.version })
  if (options.wait === true) {
    const timeoutMs = options.timeout * 1000
    await waitForSite({
      client,
      clock,
      site: pushed.site,
      timeoutMs,
      progress: progressOf(context),
      signal: context.interrupted(),
    })
  }
  show(output, pushed, value =>
    [
      `${value.site}: version ${value.version.version} (${value.version.package.version})`,
      ...value.plan.reasons.map(reason => `  ${reason}`),
      ...value.warnings.map(warning => `warning: ${warning}`),
    ].join('\n'),
  )
}
