import { CloudError } from '../../kernel/errors.js'
import { diskFilesToRead } from '../../kernel/files/disk-files.js'
import type { LogFiles } from '../../kernel/files/files.js'
import type { GroupId } from '../storage.js'
import { logFolder, snapshotFolder } from './disk-storage.js'
import { type Replayed, replay } from './replay.js'
import { checkSnapshot } from './snapshots.js'

/** What a log holds of one group. */
interface WalGroupReport {
  readonly group: GroupId
  readonly term: number
  readonly vote: number
  readonly commit: number
  /** Of the snapshot that the log begins with; 0 for none. */
  readonly snapshotIndex: number
  /** Of that snapshot's state; undefined when this node keeps none. */
  readonly snapshotBytes: number | undefined
  /** The last index; entries are from `snapshotIndex + 1` to it. */
  readonly last: number
}

export interface WalReport {
  readonly ok: boolean
  /** The first thing that is wrong, with file, byte and what to do: what a start would refuse with. */
  readonly problem: CloudError | undefined
  readonly cluster: string | undefined
  readonly node: number | undefined
  readonly segments: number
  readonly bytes: number
  readonly records: number
  /** Bytes of an interrupted write behind the end; a start cuts them off. */
  readonly torn: number
  /** The node was stopped in order: nothing can be missing. */
  readonly closed: boolean
  readonly groups: readonly WalGroupReport[]
}

/**
 * Reads the whole log of a node that is not running, and the snapshots it begins with, and changes nothing.
 *
 * @param place - the directory, or its files.
 * @throws CloudError `core.kernel.invalid-config` with `field` when it cannot be read.
 */
export async function walVerify(place: string | LogFiles): Promise<WalReport> {
  const files = typeof place === 'string' ? diskFilesToRead(place) : place
  let found: Replayed | undefined
  let problem: CloudError | undefined
  try {
    found = (await files.folders()).includes(logFolder) ? await replay(await files.folder(logFolder)) : undefined
    if (found === undefined) problem = new CloudError('core.ha.corrupt', 'there is no log', { field: 'dir' })
    else if ((await files.folders()).includes(snapshotFolder)) await checkSnapshots(files, found)
  } catch (error) {
    if (!CloudError.is(error)) {
      const reason = error instanceof Error ? error.message : String(error)
      const text = `the log cannot be read: ${reason}`
      throw new CloudError('core.kernel.invalid-config', text, { cause: error, field: 'dir' })
    }
    problem = error
  }
  const segments = found?.segments ?? []
  return {
    ok: problem === undefined,
    problem,
    cluster: found?.identity.cluster,
    node: found?.identity.node,
    segments: segments.length,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    records: segments.reduce((sum, { records }) => sum + records, 0),
    torn: found?.torn ?? 0,
    closed: found?.closed ?? false,
    groups: [...(found?.groups ?? [])]
      .toSorted(([a], [b]) => a - b)
      .map(([group, log]) => ({
        group,
        ...log.hardState,
        snapshotIndex: log.mark.mark.index,
        snapshotBytes: log.mark.state?.bytes,
        last: log.last,
      })),
  }
}

async function checkSnapshots(files: LogFiles, { groups }: Replayed): Promise<void> {
  const folder = await files.folder(snapshotFolder)
  for (const [group, log] of groups) {
    const { mark, state } = log.mark
    if (state !== undefined) await checkSnapshot(folder, group, mark, state)
  }
}
