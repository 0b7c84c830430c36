import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { diskFiles } from '../../kernel/files/disk-files.js'
import type { LogFiles } from '../../kernel/files/files.js'
import { memoryFiles } from '../../kernel/files/memory-files.js'
import type { Ids } from '../../kernel/ids.js'
import { type Logger, silentLogger } from '../../kernel/logger.js'
import { systemIds } from '../../kernel/system-ids.js'
import type { BusQuota } from '../quota/quota-limits.js'
import type { Streams } from '../stream.js'
import { defaultStreamLimits, type StreamLimits } from '../stream-log/log-limits.js'
import { LogServer } from '../stream-log/log-server.js'
import { LinkStreams } from './link-streams.js'
import { whole } from './stream-checks.js'
import type { ServedLink } from './stream-link.js'

export interface OpenStreamsOptions {
  /** Folder of the logs; made when it is not there. Without it they are in memory and end with the process. */
  readonly dir?: string
  /** Where logs are kept, in place of `dir`. */
  readonly files?: LogFiles
  readonly clock: Clock
  /** Default: nothing is logged. */
  readonly logger?: Logger
  readonly ids?: Ids
  readonly limits?: Partial<StreamLimits>
  /**
   * Whose a stream is, such as `stream => desk.openTenant(tenantOf(stream))`; buckets are called `kv.<name>`, dead letters
   * go with their stream. What is kept is metered (`busRetainedKibSeconds`), and a message that would go over
   * `streamBytes` is refused with `core.bus.quota-exceeded`, also where the stream would forget an older one for it.
   */
  readonly quotaOf?: (stream: string) => BusQuota | undefined
}

/** Streams of this process, to be served to others with `serveStreams`. Disposing them closes the files. */
export interface LocalStreams extends Streams {
  /** For `serveStreams`. */
  readonly link: ServedLink
}

/**
 * Opens the streams of a folder: reads every log once, so it takes about a second for each gigabyte that is kept. One
 * process at a time may have a folder.
 *
 * `relaxed` messages are acknowledged when the operating system has them: they survive `kill -9` of this process, not a
 * loss of power. `synced` ones when the disk has them. In memory only `relaxed` is possible, and nothing survives.
 * @throws CloudError `core.bus.corrupt` (which file, and where), `core.deploy.already-running`,
 *   `core.kernel.not-writable`, `core.kernel.data-too-new`, `core.kernel.invalid-config`.
 */
export async function openStreams(options: OpenStreamsOptions): Promise<LocalStreams> {
  const { clock, dir } = options
  const logger = (options.logger ?? silentLogger).child({ component: 'streams' })
  const limits = checkLimits({ ...defaultStreamLimits, ...options.limits })
  if (dir === '') throw new CloudError('core.kernel.invalid-config', 'dir is empty', { field: 'dir' })
  const files = options.files ?? (dir === undefined ? memoryFiles() : await diskFiles(dir, process.pid))
  const onDisk = options.files !== undefined || dir !== undefined
  const { quotaOf } = options
  const server = await LogServer.open({
    files,
    clock,
    logger,
    ids: options.ids ?? systemIds(),
    limits,
    onDisk,
    quotaOf,
  })
  const streams = new LinkStreams({ link: server, clock, logger })
  return Object.assign(streams, { link: server })
}

function checkLimits(limits: StreamLimits): StreamLimits {
  for (const [name, value] of Object.entries(limits)) whole(value, `limits/${name}`, 1, 2 ** 40)
  whole(limits.segmentBytes, 'limits/segmentBytes', 4_096, 2 ** 30)
  whole(limits.absentMs, 'limits/absentMs', 100, 60_000)
  return limits
}
