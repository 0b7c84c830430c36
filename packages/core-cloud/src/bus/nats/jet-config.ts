import { deadSuffix, type FullConsumerConfig, type FullStreamConfig } from '../stream/stream-checks.js'
import type { Durability, StartAt, StreamInfo } from '../stream.js'
import { controlToken } from './route.js'

const million = 1_000_000

/** A stream as JetStream configures it; durations in nanoseconds. */
export interface JetStreamConfig {
  readonly name: string
  readonly description?: string
  readonly subjects?: readonly string[]
  readonly retention: 'limits'
  readonly storage: 'file'
  readonly num_replicas: number
  readonly max_msgs: number
  readonly max_bytes: number
  readonly max_age: number
  readonly max_msgs_per_subject: number
  readonly max_msg_size: number
  readonly max_consumers: number
  readonly discard: 'old' | 'new'
  readonly duplicate_window: number
  readonly allow_rollup_hdrs?: boolean
  readonly deny_delete?: boolean
  readonly allow_direct?: boolean
}

export interface JetStreamInfo {
  readonly config: JetStreamConfig
  readonly state: {
    readonly messages: number
    readonly bytes: number
    readonly first_seq: number
    readonly last_seq: number
  }
}

export interface JetConsumerConfig {
  readonly durable_name?: string
  readonly description?: string
  readonly deliver_policy: 'all' | 'new' | 'last' | 'by_start_sequence' | 'by_start_time' | 'last_per_subject'
  readonly opt_start_seq?: number
  readonly opt_start_time?: string
  readonly ack_policy: 'explicit' | 'none'
  readonly ack_wait?: number
  readonly max_deliver?: number
  readonly max_ack_pending?: number
  readonly max_waiting?: number
  readonly filter_subject?: string
  readonly replay_policy: 'instant'
  readonly headers_only?: boolean
  readonly inactive_threshold?: number
  readonly mem_storage?: boolean
  readonly num_replicas?: number
}

export interface JetConsumerInfo {
  readonly name: string
  readonly config: JetConsumerConfig
  readonly num_pending: number
  readonly num_ack_pending: number
  readonly delivered: { readonly stream_seq: number }
  readonly ack_floor: { readonly stream_seq: number }
}

/** Words in a stream's description: the only place where a server before 2.10 keeps something for us. */
const durabilityWord = /^aaas (relaxed|replicated|synced)$/

export function durabilityOf(config: Pick<JetStreamConfig, 'description' | 'num_replicas'>): Durability {
  const said = durabilityWord.exec(config.description ?? '')
  if (said !== null) return said[1] as Durability
  return config.num_replicas >= 3 ? 'replicated' : 'relaxed'
}

export function jetStreamConfig(config: FullStreamConfig): JetStreamConfig {
  const ageMs = config.maxAgeMs ?? 0
  // The server does not know an id longer than the message.
  const dedupMs = ageMs === 0 ? config.dedupMs : Math.min(config.dedupMs, ageMs)
  return {
    ...common(config.durability),
    name: config.name,
    subjects: config.subjects,
    max_msgs: config.maxMessages,
    max_bytes: config.maxBytes,
    max_age: ageMs * million,
    max_msgs_per_subject: config.maxPerSubject ?? -1,
    discard: config.discard,
    duplicate_window: dedupMs * million,
    // Not for us, who ask the leader: for the tools.
    allow_direct: true,
  }
}

function common(durability: Durability): Omit<JetStreamConfig, 'name'> {
  return {
    description: `aaas ${durability}`,
    retention: 'limits',
    storage: 'file',
    num_replicas: durability === 'replicated' ? 3 : 1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    max_consumers: -1,
    discard: 'new',
    duplicate_window: 120_000 * million,
  }
}

/** Where a stream's dead letters are published. */
export const deadSubject = (stream: string, consumer: string): string => `${controlToken}.dead.${stream}.${consumer}`

/** Dead letters are never forgotten for new ones: at the limit a message stays where it is and is tried again. */
export function deadStreamConfig(stream: string, durability: Durability): JetStreamConfig {
  return {
    ...common(durability),
    name: `${stream}${deadSuffix}`,
    subjects: [`${controlToken}.dead.${stream}.*`],
    max_msgs: 1_000_000,
    max_bytes: 268_435_456,
    duplicate_window: 3_600_000 * million,
  }
}

/** Where messages for later wait, by the stream they go to. */
export const laterStream = '_aaas-later'
export const laterSubject = (stream: string, token: string): string => `${controlToken}.later.${stream}.${token}`

export function laterStreamConfig(durability: Durability): JetStreamConfig {
  return {
    ...common(durability),
    name: laterStream,
    subjects: [`${controlToken}.later.>`],
    max_msgs: 1_000_000,
    max_bytes: 1_073_741_824,
  }
}

/** As the tools of NATS make and read buckets. */
export function bucketStreamConfig(config: {
  readonly name: string
  readonly durability: Durability
  readonly history: number
  readonly maxBytes: number
  readonly ttlMs?: number
}): JetStreamConfig {
  const ttlMs = config.ttlMs ?? 0
  return {
    ...common(config.durability),
    name: `KV_${config.name}`,
    subjects: [`$KV.${config.name}.>`],
    max_msgs_per_subject: config.history,
    max_bytes: config.maxBytes,
    max_age: ttlMs * million,
    duplicate_window: (ttlMs === 0 ? 120_000 : Math.min(120_000, ttlMs)) * million,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  }
}

export function streamInfoOf({ config, state }: JetStreamInfo): StreamInfo {
  return {
    config: {
      name: config.name,
      subjects: config.subjects ?? [],
      durability: durabilityOf(config),
      maxMessages: config.max_msgs,
      maxBytes: config.max_bytes,
      discard: config.discard,
      dedupMs: Math.round(config.duplicate_window / million),
      ...(config.max_age > 0 ? { maxAgeMs: Math.round(config.max_age / million) } : {}),
      ...(config.max_msgs_per_subject > 0 ? { maxPerSubject: config.max_msgs_per_subject } : {}),
    },
    messages: state.messages,
    bytes: state.bytes,
    firstSequence: state.messages === 0 ? state.last_seq + 1 : state.first_seq,
    lastSequence: state.last_seq,
  }
}

/** Where a consumer begins, in the words of JetStream. */
export function startOf(
  start: StartAt | undefined,
): Pick<JetConsumerConfig, 'deliver_policy' | 'opt_start_seq' | 'opt_start_time'> {
  if (start === undefined || start === 'first') return { deliver_policy: 'all' }
  if (start === 'new' || start === 'last') return { deliver_policy: start }
  if ('sequence' in start) return { deliver_policy: 'by_start_sequence', opt_start_seq: start.sequence }
  return { deliver_policy: 'by_start_time', opt_start_time: new Date(start.time).toISOString() }
}

/** The server filters by one pattern; of several the member picks itself. */
export function serverFilter(filter: readonly string[] | undefined): { readonly filter_subject?: string } {
  return filter?.length === 1 ? { filter_subject: filter[0] as string } : {}
}

export function jetConsumerConfig(
  config: FullConsumerConfig,
  begin: Pick<JetConsumerConfig, 'deliver_policy' | 'opt_start_seq' | 'opt_start_time' | 'description'>,
): JetConsumerConfig {
  return {
    ...begin,
    durable_name: config.name,
    ack_policy: 'explicit',
    ack_wait: config.ackWaitMs * million,
    // Deliveries are counted by the members, who take the last one to the dead letters.
    max_deliver: -1,
    max_ack_pending: config.maxUnsettled,
    max_waiting: 512,
    replay_policy: 'instant',
    ...serverFilter(config.filter),
  }
}
