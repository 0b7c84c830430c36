import { readFile } from 'node:fs/promises'
import { CloudError } from '@aaas/core-cloud/kernel'

/** The user a server process runs as when that is not ourselves. */
export interface ServerAccount {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** PostgreSQL refuses to run as root, and initdb refuses a user without an entry in the user database. */
const candidates = ['postgres', 'node', 'nobody']

/**
 * @returns undefined when we are an ordinary user: the server then runs as ourselves. As root, the first of
 *   `postgres`, `node` and `nobody` that exists; no user is ever created.
 */
export async function serverAccount(): Promise<ServerAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  for (const name of candidates) {
    const fields =
      users
        .split('\n')
        .find(line => line.startsWith(`${name}:`))
        ?.split(':') ?? []
    const [uid, gid] = [Number(fields[2]), Number(fields[3])]
    if (Number.isInteger(uid) && Number.isInteger(gid) && uid > 0) return { name, uid, gid }
  }
  throw new CloudError(
    'support.rdbms.start-failed',
    `PostgreSQL cannot run as root and none of the users ${candidates.join(', ')} exists: run the platform as another user`,
  )
}

/** Spawn options that make a child run as the account. */
export function runAs(account: ServerAccount | undefined): { readonly uid?: number; readonly gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid }
}
