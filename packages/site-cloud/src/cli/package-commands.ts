import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { buildPackage, verifyPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { withExamples } from './arguments.js'
import { type CliContext, clientOf } from './cli-context.js'
import { show, table } from './output.js'
import { readSignature, readTarball, signatureFile } from './package-files.js'
import { localPublisher, publisherPublicKey, signLocally } from './publisher.js'

/** `aaas package ...` */
export function packageCommands(program: Command, context: () => CliContext): void {
  const command = program.command('package').description('build, sign and check packages')
  withExamples(
    command
      .command('build <folder>')
      .description('make the tarball of a package folder; the same files give the same bytes')
      .option('--out <file>', 'default: <name>-<version>.tgz in the current folder'),
    'aaas package build examples/extend-with-cloudware --out vip.tgz',
  ).action(async (folder: string, options: { out?: string }) => {
    const { ref, tarball } = await buildPackage({ dir: resolve(folder) })
    const file = resolve(options.out ?? `${ref.name.replace('@', '').replace('/', '-')}-${ref.version}.tgz`)
    await write(file, tarball, '--out')
    show(
      context().output,
      { ...ref, file, bytes: tarball.length },
      made => `${made.file}\n${made.name}@${made.version} ${made.digest}`,
    )
  })
  withExamples(
    command
      .command('sign <tarball>')
      .description("sign with this platform's key; writes the signature beside it, as .sig.json"),
    'aaas package sign vip.tgz',
  ).action(async (tarball: string) => {
    const file = resolve(tarball)
    const signature = signLocally(context().home, await readTarball(file))
    const out = join(dirname(file), basename(signatureFile(file)))
    await write(out, `${JSON.stringify(signature, null, 2)}\n`, 'tarball')
    show(
      context().output,
      { file: out, publisher: localPublisher },
      made => `${made.file} (signed by ${made.publisher})`,
    )
  })
  withExamples(
    command
      .command('verify <tarball>')
      .description('check signature and content; exit code 2 when anything was changed')
      .option('--trust <pem>', "public key file of the publisher; default: this platform's own"),
    'aaas package verify vip.tgz',
    'aaas package verify vip.tgz --trust acme.pub.pem --json',
  ).action((tarball: string, options: { trust?: string }) => verify(context(), resolve(tarball), options.trust))
  withExamples(
    command.command('ls').description('packages stored on the platform, with the extension points they offer and use'),
    'aaas package ls',
  ).action(async () => {
    const { packages } = await clientOf(context()).listPackages({})
    show(context().output, packages, rows =>
      table(
        ['PACKAGE', 'KIND', 'PUBLISHER', 'DIGEST', 'OFFERS', 'USES'],
        rows.map(row => [
          `${row.name}@${row.version}`,
          row.kind,
          row.publisher,
          row.digest.slice(0, 12),
          row.extensionPoints.join(' '),
          row.hooks.join(' '),
        ]),
      ),
    )
  })
}

async function verify(context: CliContext, file: string, trust: string | undefined): Promise<void> {
  const tarball = await readTarball(file)
  const signature = await readSignature(file)
  const pem = trust === undefined ? publisherPublicKey(context.home) : await readKey(resolve(trust))
  const publisher = trust === undefined ? localPublisher : signature.statement.publisher
  const checked = verifyPackage({ tarball, signature, trust: { [publisher]: pem } })
  show(
    context.output,
    { ...checked.ref, publisher: checked.publisher, kind: checked.packageJson.aaas.kind },
    ok => `ok: ${ok.name}@${ok.version} by ${ok.publisher}\n${ok.digest}`,
  )
}

function readKey(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CloudError('core.contract.invalid-input', `cannot read the key ${file}`, { field: '--trust', cause })
  })
}

async function write(file: string, content: string | Uint8Array, field: string): Promise<void> {
  await writeFile(file, content).catch((cause: unknown) => {
    throw new CloudError('core.kernel.not-writable', `cannot write ${file}: ${(cause as Error).message}`, {
      field,
      cause,
    })
  })
}
