import { CloudError } from '../../kernel/errors.js'
import type { HardState } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import { GroupLog } from './group-log.js'
import { isNumber, parseMark, RecordError, readJson, type StoredMark } from './record-body.js'

/** Version of everything in the directory. */
export const walFormat = 1

/** Whose log it is. */
export interface WalIdentity {
  /** Name or id of the cluster. */
  readonly cluster: string
  readonly node: number
}

/** First record of every segment: the log can be read from any segment on that nothing before is needed of. */
export interface SegmentHead extends WalIdentity {
  readonly format: number
  /** Number of the segment, from 1. */
  readonly segment: number
  /** Where the records of the segment before end, and the checksum of the last one; undefined in the first segment. */
  readonly before: { readonly place: number; readonly checksum: number } | undefined
  readonly groups: readonly GroupHead[]
}

interface GroupHead {
  readonly group: GroupId
  readonly hardState: HardState
  readonly mark: StoredMark
  readonly last: number
}

export const segmentName = (segment: number): string => `${String(segment).padStart(16, '0')}.wal`
export const isSegmentName = (name: string): boolean => /^\d{16}\.wal$/.test(name)

export function encodeHead(
  head: Omit<SegmentHead, 'groups' | 'format'>,
  groups: ReadonlyMap<GroupId, GroupLog>,
): Buffer {
  const list = [...groups].map(([group, { hardState, mark, last }]) => ({
    group,
    hardState,
    mark: { ...mark.mark, state: mark.state },
    last,
  }))
  return Buffer.from(JSON.stringify({ format: walFormat, ...head, groups: list }))
}

/**
 * @param identity - whose it has to be; undefined when it may be anybody's.
 * @throws RecordError, CloudError `core.ha.newer-version`, `core.ha.wrong-cluster`, `core.ha.duplicate-node`.
 */
export function readHead(body: Buffer, path: string, identity: WalIdentity | undefined): SegmentHead {
  const { format, cluster, node, segment, before, groups } = readJson(body)
  if (!isNumber(format) || format < 1) throw new RecordError('a head without format')
  if (format > walFormat) {
    const text = `${path} is of format ${format}; this version reads ${walFormat}. Start the newer version again`
    throw new CloudError('core.ha.newer-version', text, { details: { format } })
  }
  if (typeof cluster !== 'string' || !isNumber(node) || !isNumber(segment)) throw new RecordError('a head of nobody')
  if (identity !== undefined) checkIdentity({ cluster, node }, path, identity)
  if (!Array.isArray(groups)) throw new RecordError('a head without groups')
  return { format, cluster, node, segment, before: readBefore(before), groups: groups.map(readGroup) }
}

function checkIdentity({ cluster, node }: WalIdentity, path: string, identity: WalIdentity): void {
  if (cluster !== identity.cluster) {
    const text = `${path} is of the cluster ${cluster}, this node is of ${identity.cluster}. Give it a directory of its own`
    throw new CloudError('core.ha.wrong-cluster', text, { field: 'dir', details: { cluster } })
  }
  if (node !== identity.node) {
    const text = `${path} is of node ${node}, this is node ${identity.node}. An id belongs to one directory for ever`
    throw new CloudError('core.ha.duplicate-node', text, { field: 'node', details: { node } })
  }
}

function readBefore(value: unknown): SegmentHead['before'] {
  if (value === undefined) return undefined
  const { place, checksum } = value as { readonly [key: string]: unknown }
  if (isNumber(place) && isNumber(checksum)) return { place, checksum }
  throw new RecordError('a head with a wrong place')
}

function readGroup(value: unknown): GroupHead {
  const { group, hardState, mark, last } = value as { readonly [key: string]: unknown }
  const { term, vote, commit } = hardState as { readonly [key: string]: unknown }
  if (!isNumber(group) || !isNumber(term) || !isNumber(vote) || !isNumber(commit) || !isNumber(last)) {
    throw new RecordError('a head with a wrong group')
  }
  return { group, hardState: { term, vote, commit }, mark: parseMark(mark), last }
}

/** The groups as the first segment that is there begins. */
export function groupsOf(head: SegmentHead): Map<GroupId, GroupLog> {
  return new Map(
    head.groups.map(({ group, hardState, mark, last }) => [group, GroupLog.continued(hardState, mark, last)]),
  )
}

/** Why what was read does not lead to this head. */
export function headDiffers(head: SegmentHead, groups: ReadonlyMap<GroupId, GroupLog>): string | undefined {
  if (head.groups.length !== groups.size) return `it begins with ${head.groups.length} groups, ${groups.size} were read`
  for (const { group, hardState, mark, last } of head.groups) {
    const log = groups.get(group)
    const { term, vote, commit } = log?.hardState ?? { term: -1, vote: -1, commit: -1 }
    const same =
      log?.last === last &&
      log.mark.mark.index === mark.mark.index &&
      term === hardState.term &&
      vote === hardState.vote &&
      commit === hardState.commit
    if (!same) return `group ${group} is not what was read of it`
  }
  return undefined
}
