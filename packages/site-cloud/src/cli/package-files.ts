import { readFile } from 'node:fs/promises'
import { type PackageSignature, parseSignature } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'

/** Where the signature of a tarball lies: beside it. */
export function signatureFile(tarball: string): string {
  return `${tarball.replace(/\.tgz$/, '')}.sig.json`
}

/** @throws CloudError `core.cloudware.invalid-package` when the file cannot be read. */
export async function readTarball(file: string): Promise<Uint8Array> {
  return readFile(file).catch((cause: unknown) => {
    throw new CloudError('core.cloudware.invalid-package', `cannot read ${file}`, { field: 'tarball', cause })
  })
}

/** @throws CloudError `core.cloudware.bad-signature` when there is none, or it is not one. */
export async function readSignature(tarball: string): Promise<PackageSignature> {
  const file = signatureFile(tarball)
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CloudError('core.cloudware.bad-signature', `no signature ${file}; run 'aaas package sign ${tarball}'`, {
      field: 'signature',
      cause,
    })
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.cloudware.bad-signature', `${file} is not JSON`, { field: 'signature', cause })
  }
  return parseSignature(value)
}
