import { mkdir } from 'node:fs/promises'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { ServerAccount } from './postgres-account.js'
import { own } from './postgres-cluster.js'
import { runTool } from './postgres-process.js'
import type { ServerSettings } from './postgres-settings.js'

/**
 * Settings that make a server keep its write-ahead log in a folder. A piece appears under its name when it is complete
 * and on the disk, and is never written over by another one; the same one again (after a crash in between) is accepted.
 */
export async function archiveSettings(folder: string, account: ServerAccount | undefined): Promise<ServerSettings> {
  if (!/^\/[\w./@+-]+$/.test(folder)) {
    throw invalid(`${folder} has characters that a shell would read otherwise`)
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await own(folder, account)
  const probe = await runTool({ program: '/bin/sh', args: ['-c', `test -w '${folder}'`], account })
  if (probe.status !== 0) {
    throw invalid(`the server's account ${account?.name ?? 'of this process'} cannot write ${folder}`)
  }
  const [target, part] = [`${folder}/%f`, `${folder}/.%f.part`]
  return {
    archive_mode: 'on',
    archive_timeout: '60s',
    archive_command:
      `if [ -e '${target}' ]; then cmp -s '%p' '${target}'; ` +
      `else cp '%p' '${part}' && sync '${part}' && mv '${part}' '${target}' && sync '${folder}'; fi`,
  }
}

function invalid(reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `the archive cannot be kept: ${reason}`, { field: 'archiveDir' })
}
