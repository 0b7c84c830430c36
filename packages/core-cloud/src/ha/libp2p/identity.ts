import { randomBytes } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CloudError } from '../../kernel/errors.js'

const seedBytes = 32

/**
 * Reads the seed of a node's key, and makes the file (0600) when there is none. It is 64 hexadecimal digits: the peer id
 * follows from it, so a node whose file is lost is another peer.
 * @throws CloudError `core.kernel.invalid-config`, `core.kernel.not-writable`.
 */
export async function loadIdentity(keyFile: string): Promise<Uint8Array> {
  const found = await readSeed(keyFile)
  if (found !== undefined) return found
  const seed = randomBytes(seedBytes)
  try {
    // Never over a file that another process has just made.
    const file = await open(keyFile, 'wx', 0o600)
    try {
      await file.writeFile(`${seed.toString('hex')}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    const folder = await open(dirname(keyFile), 'r')
    await folder.sync().finally(() => folder.close())
    return seed
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return loadIdentity(keyFile)
    throw new CloudError('core.kernel.not-writable', `the key file ${keyFile} cannot be made`, {
      field: 'keyFile',
      cause,
    })
  }
}

async function readSeed(keyFile: string): Promise<Uint8Array | undefined> {
  let text: string
  try {
    text = (await readFile(keyFile, 'utf8')).trim()
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new CloudError('core.kernel.invalid-config', `the key file ${keyFile} cannot be read`, {
      field: 'keyFile',
      cause,
    })
  }
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new CloudError(
      'core.kernel.invalid-config',
      `${keyFile} is no key file: 64 hexadecimal digits are expected`,
      {
        field: 'keyFile',
      },
    )
  }
  return Buffer.from(text, 'hex')
}
