import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { writeSynced } from './cluster-copy.js'

export type NodeName = 'a' | 'b'

/** What must be known before anything is started: who may be the primary, and whether the other one could be. */
export interface ReplicaState {
  readonly format: 1
  readonly primary: NodeName
  /** Token of the lease under which it became the primary. */
  readonly term: number
  /**
   * True only while every commit that was acknowledged since is on the standby. Written as false **before** the primary
   * is allowed to acknowledge alone, and as true after it no longer does.
   */
  readonly inSync: boolean
}

export async function readReplicaState(path: string): Promise<ReplicaState | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    const state = JSON.parse(text) as Partial<ReplicaState>
    const fits = state.format === 1 && (state.primary === 'a' || state.primary === 'b')
    if (fits && Number.isSafeInteger(state.term) && typeof state.inSync === 'boolean') return state as ReplicaState
  } catch {}
  throw new CloudError('core.kernel.invalid-config', `${path} cannot be read: it says which node has the data`, {
    field: 'dataDir',
  })
}

/** On the disk when it resolves, the folder's entry included. */
export async function writeReplicaState(path: string, state: ReplicaState): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeSynced(`${path}.new`, `${JSON.stringify(state)}\n`)
  await rename(`${path}.new`, path)
  const folder = await open(dirname(path), 'r')
  await folder.sync().finally(() => folder.close())
}
