import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { buildPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type CliContext, clientOf } from './cli-context.js'
import { show } from './output.js'
import { readTarball } from './package-commands.js'
import { signLocally } from './publisher.js'
import { wholeNumber } from './site-commands.js'
import { formatSite } from './site-format.js'
import { waitForSite } from './wait.js'

/** `aaas cloudware ...` */
export function cloudwareCommands(program: Command, context: () => CliContext): void {
  const command = program.command('cloudware').description('extend a running site')
  command
    .command('add <site> <package>')
    .description('add a package (folder, or tarball with its .sig.json) to a running site; no restart')
    .option('--config <json>', 'configuration of the package')
    .option('--wait', 'wait until every instance has loaded it')
    .option('--timeout <seconds>', 'longest wait', wholeNumber, 60)
    .action(async (site: string, path: string, options: { config?: string; wait?: boolean; timeout: number }) => {
      const client = clientOf(context())
      const stored = await client.uploadPackage(await signedPackage(context(), resolve(path)))
      const config = options.config === undefined ? {} : { config: parseConfig(options.config) }
      let view = await client.addCloudware({ site, digest: stored.digest, ...config })
      if (options.wait === true) {
        view = await waitForSite({ client, clock: context().clock, site, timeoutMs: options.timeout * 1000 })
      }
      show(context().output, view, formatSite)
    })
  command
    .command('remove <site> <name>')
    .description('take a package off a running site; no restart')
    .option('--wait', 'wait until every instance has let it go')
    .option('--timeout <seconds>', 'longest wait', wholeNumber, 60)
    .action(async (site: string, name: string, options: { wait?: boolean; timeout: number }) => {
      const client = clientOf(context())
      let view = await client.removeCloudware({ site, name })
      if (options.wait === true) view = await waitForSite({ client, clock: context().clock, site, timeoutMs: options.timeout * 1000 })
      show(context().output, view, formatSite)
    })
}

function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `--config is not JSON: ${(cause as Error).message}`, { field: 'config', cause })
  }
}

/** A folder is built and signed with this platform's key; a tarball must come with its signature. */
async function signedPackage(context: CliContext, path: string): Promise<{ base64: string; signature: unknown }> {
  const info = await stat(path).catch(cause => {
    throw new CloudError('core.cloudware.invalid-package', `no such file or folder: ${path}`, { field: 'package', cause })
  })
  if (info.isDirectory()) {
    const { tarball } = await buildPackage({ dir: path })
    return { base64: Buffer.from(tarball).toString('base64'), signature: signLocally(context.home, tarball) }
  }
  const tarball = await readTarball(path)
  const signature: unknown = JSON.parse(
    await readFile(`${path.replace(/\.tgz$/, '')}.sig.json`, 'utf8').catch(cause => {
      throw new CloudError('core.cloudware.bad-signature', `no signature beside ${path}; run 'aaas package sign'`, { cause })
    }),
  )
  return { base64: Buffer.from(tarball).toString('base64'), signature }
}
