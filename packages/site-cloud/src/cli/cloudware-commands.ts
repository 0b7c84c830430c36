import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { buildPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type Waiting, withExamples, withWait } from './arguments.js'
import { type CliContext, clientOf, progressOf } from './cli-context.js'
import type { SiteCenterClient } from './connection.js'
import { show } from './output.js'
import { readSignature, readTarball } from './package-files.js'
import { signLocally } from './publisher.js'
import { formatSite } from './site-format.js'
import { waitForCloudware } from './wait.js'

const waitSeconds = 60

/** `aaas cloudware ...` */
export function cloudwareCommands(program: Command, context: () => CliContext): void {
  const command = program.command('cloudware').description('extend a running site')
  withExamples(
    withWait(
      command
        .command('add <site> <package>')
        .description(
          'add a package (folder, or tarball with its .sig.json) to a running site, or another version of it; no restart',
        )
        .option('--config <json>', 'configuration of the package, or @FILE'),
      waitSeconds,
    ),
    'aaas cloudware add shop examples/extend-with-cloudware --wait',
    `aaas cloudware add shop vip-1.0.0.tgz --config '{"percent":5}'`,
  ).action((site: string, path: string, options: Waiting & { config?: string }) =>
    add(context(), site, resolve(path), options),
  )
  withExamples(
    withWait(
      command.command('remove <site> <name>').description('take a package off a running site; no restart'),
      waitSeconds,
    ),
    'aaas cloudware remove shop vip-pricing --wait',
  ).action(async (site: string, name: string, options: Waiting) => {
    const client = clientOf(context())
    const view = await client.removeCloudware({ site, name })
    show(context().output, await waited(context(), client, { site, name }, options, view), formatSite)
  })
}

async function add(
  context: CliContext,
  site: string,
  path: string,
  options: Waiting & { config?: string },
): Promise<void> {
  const client = clientOf(context)
  const config = options.config === undefined ? {} : { config: await parseConfig(options.config) }
  // Asked before the upload, so that a mistyped name leaves no package behind.
  await client.getSite({ site })
  const stored = await client.uploadPackage(await signedPackage(context, path))
  const view = await client.addCloudware({ site, digest: stored.digest, ...config })
  show(context.output, await waited(context, client, { site, name: stored.name }, options, view), formatSite)
}

async function waited<T>(
  context: CliContext,
  client: SiteCenterClient,
  what: { readonly site: string; readonly name: string },
  options: Waiting,
  otherwise: T,
) {
  if (options.wait !== true) return otherwise
  const timeoutMs = options.timeout * 1000
  return waitForCloudware({
    ...what,
    client,
    clock: context.clock,
    timeoutMs,
    progress: progressOf(context),
    signal: context.interrupted(),
  })
}

async function parseConfig(given: string): Promise<unknown> {
  const text = given.startsWith('@') ? await readConfigFile(given.slice(1)) : given
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `--config is not JSON: ${(cause as Error).message}`, {
      field: '--config',
      cause,
    })
  }
}

function readConfigFile(file: string): Promise<string> {
  return readFile(resolve(file), 'utf8').catch((cause: unknown) => {
    throw new CloudError('core.contract.invalid-input', `--config: ${file} cannot be read`, {
      field: '--config',
      cause,
    })
  })
}

/** A folder is built and signed with this platform's key; a tarball must come with its signature. */
async function signedPackage(context: CliContext, path: string): Promise<{ base64: string; signature: unknown }> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new CloudError('core.cloudware.invalid-package', `no such file or folder: ${path}`, {
      field: 'package',
      cause,
    })
  })
  if (info.isDirectory()) {
    const { tarball } = await buildPackage({ dir: path })
    return { base64: Buffer.from(tarball).toString('base64'), signature: signLocally(context.home, tarball) }
  }
  const tarball = await readTarball(path)
  return { base64: Buffer.from(tarball).toString('base64'), signature: await readSignature(path) }
}
