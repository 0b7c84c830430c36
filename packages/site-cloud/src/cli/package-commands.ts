import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { buildPackage, type PackageSignature, verifyPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { type CliContext, clientOf } from './cli-context.js'
import { show, table } from './output.js'
import { ensurePublisherKey, localPublisher, signLocally } from './publisher.js'

const signatureFile = (tarball: string): string => `${tarball.replace(/\.tgz$/, '')}.sig.json`

/** `aaas package ...` */
export function packageCommands(program: Command, context: () => CliContext): void {
  const command = program.command('package').description('build, sign and check packages')
  command
    .command('build <folder>')
    .description('make the tarball of a package folder; the same files give the same bytes')
    .option('--out <file>', 'default: <name>-<version>.tgz in the current folder')
    .action(async (folder: string, options: { out?: string }) => {
      const { ref, tarball } = await buildPackage({ dir: resolve(folder) })
      const file = resolve(options.out ?? `${ref.name.replace('@', '').replace('/', '-')}-${ref.version}.tgz`)
      await writeFile(file, tarball)
      show(context().output, { ...ref, file, bytes: tarball.length }, made => `${made.file}\n${made.name}@${made.version} ${made.digest}`)
    })
  command
    .command('sign <tarball>')
    .description("sign with this platform's key; writes <tarball>.sig.json beside it")
    .action(async (tarball: string) => {
      const file = resolve(tarball)
      ensurePublisherKey(context().home)
      const signature = signLocally(context().home, await readTarball(file))
      const out = join(dirname(file), basename(signatureFile(file)))
      await writeFile(out, `${JSON.stringify(signature, null, 2)}\n`)
      show(context().output, { file: out, publisher: localPublisher }, made => `${made.file} (signed by ${made.publisher})`)
    })
  command
    .command('verify <tarball>')
    .description('check signature and content; exit code 2 when anything was changed')
    .option('--trust <pem>', "public key file of the publisher; default: this platform's own")
    .action(async (tarball: string, options: { trust?: string }) => {
      const file = resolve(tarball)
      const signature = JSON.parse(await readFile(signatureFile(file), 'utf8')) as PackageSignature
      const pem = options.trust === undefined ? ensurePublisherKey(context().home) : await readFile(options.trust, 'utf8')
      const { ref, packageJson, publisher } = verifyPackage({
        tarball: await readTarball(file),
        signature,
        trust: { [options.trust === undefined ? localPublisher : signature.statement.publisher]: pem },
      })
      show(context().output, { ...ref, publisher, kind: packageJson.aaas.kind }, ok => `ok: ${ok.name}@${ok.version} by ${ok.publisher}\n${ok.digest}`)
    })
  command
    .command('ls')
    .description('packages stored on the platform, with the extension points they offer and use')
    .action(async () => {
      const { packages } = await clientOf(context()).listPackages({})
      show(context().output, packages, rows =>
        table(
          ['PACKAGE', 'KIND', 'PUBLISHER', 'DIGEST', 'OFFERS', 'USES'],
          rows.map(row => [`${row.name}@${row.version}`, row.kind, row.publisher, row.digest.slice(0, 12), row.extensionPoints.join(' '), row.hooks.join(' ')]),
        ),
      )
    })
}

/** @throws CloudError `core.cloudware.invalid-package` when the file cannot be read. */
export async function readTarball(file: string): Promise<Uint8Array> {
  return readFile(file).catch(cause => {
    throw new CloudError('core.cloudware.invalid-package', `cannot read ${file}`, { field: 'tarball', cause })
  })
}
