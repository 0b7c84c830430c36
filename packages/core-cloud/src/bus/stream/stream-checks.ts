import { CloudError } from '../../kernel/errors.js'
import { maxPayloadBytes } from '../link.js'
import type {
  BucketConfig,
  ConsumerConfig,
  StartAt,
  StreamConfig,
  StreamInfo,
  StreamPublishOptions,
} from '../stream.js'
import { checkPattern, checkSubject, isSubject } from '../subject.js'

/** A stream's configuration with its defaults. */
export type FullStreamConfig = StreamInfo['config']

/** A consumer's configuration with its defaults; without `start`, which counts only when the consumer is made. */
export type FullConsumerConfig = Required<Omit<ConsumerConfig, 'start' | 'filter'>> & Pick<ConsumerConfig, 'filter'>

/** Most milliseconds ahead that `publishAt` takes: 400 days. */
const maxDelayMs = 400 * 86_400_000
/** Most bytes of a stored message's payload: with what a driver adds it fits into a message of a bus. */
const maxStreamPayloadBytes = maxPayloadBytes - 131_072
/** Most bytes of a bucket's value. */
const maxBucketValueBytes = 1_048_576
/** Ends the name of the stream of dead letters; no other stream's name may end so. */
export const deadSuffix = '-dead'

const nameForm = /^[A-Za-z0-9_-]{1,64}$/
const messageIdForm = /^[\x20-\x7e]{1,200}$/
const day = 86_400_000
const longest = 2 ** 31 - 1

/** @throws CloudError `core.kernel.invalid-config` with the field. */
export function checkName(name: string, field: string): void {
  if (typeof name !== 'string' || !nameForm.test(name)) {
    throw invalid(field, 'is 1 to 64 of A-Z a-z 0-9 _ -')
  }
}

/** @throws CloudError as `Streams.ensure` says. */
export function checkStreamConfig(config: StreamConfig): FullStreamConfig {
  checkName(config.name, 'name')
  if (config.name.endsWith(deadSuffix)) throw invalid('name', `must not end with ${deadSuffix}`)
  checkPatterns(config.subjects, 'subjects', 64)
  if (!['relaxed', 'replicated', 'synced'].includes(config.durability)) {
    throw invalid('durability', 'is relaxed, replicated or synced')
  }
  if (config.discard !== undefined && config.discard !== 'old' && config.discard !== 'new') {
    throw invalid('discard', 'is old or new')
  }
  return {
    name: config.name,
    subjects: [...config.subjects],
    durability: config.durability,
    maxMessages: whole(config.maxMessages ?? 10_000_000, 'maxMessages', 1, 1_000_000_000),
    maxBytes: whole(config.maxBytes ?? 1_073_741_824, 'maxBytes', 1, 2 ** 50),
    discard: config.discard ?? 'old',
    dedupMs: whole(config.dedupMs ?? 120_000, 'dedupMs', 100, day),
    ...optional('maxAgeMs', config.maxAgeMs, 100, 3_650 * day),
    ...optional('maxPerSubject', config.maxPerSubject, 1, 1_000_000),
  }
}

/** @throws CloudError `core.kernel.invalid-config` or `core.bus.invalid-subject`, with the field. */
export function checkConsumerConfig(config: ConsumerConfig): FullConsumerConfig {
  checkName(config.name, 'name')
  if (config.filter !== undefined) checkPatterns(config.filter, 'filter', 16)
  checkStart(config.start)
  const backoffMs = config.backoffMs ?? defaultBackoffMs
  if (!Array.isArray(backoffMs) || backoffMs.length === 0 || backoffMs.length > 100) {
    throw invalid('backoffMs', 'has 1 to 100 pauses')
  }
  return {
    name: config.name,
    ...(config.filter === undefined ? {} : { filter: [...config.filter] }),
    ackWaitMs: whole(config.ackWaitMs ?? 30_000, 'ackWaitMs', 10, day),
    maxDeliveries: whole(config.maxDeliveries ?? 12, 'maxDeliveries', 1, 1_000),
    backoffMs: backoffMs.map((pause, index) => whole(pause, `backoffMs/${index}`, 0, day)),
    maxUnsettled: whole(config.maxUnsettled ?? 1_024, 'maxUnsettled', 1, 65_536),
  }
}

const defaultBackoffMs: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]

/** Milliseconds before the delivery behind this attempt (from 1). */
export function pauseAfter(backoffMs: readonly number[], attempt: number): number {
  return backoffMs[Math.min(attempt, backoffMs.length) - 1] ?? 0
}

/** @throws CloudError `core.kernel.invalid-config` with field `start`. */
export function checkStart(start: StartAt | undefined): void {
  if (start === undefined || start === 'first' || start === 'new' || start === 'last') return
  const fields: Partial<{ sequence: number; time: number }> = typeof start === 'object' ? (start ?? {}) : {}
  if (fields.sequence !== undefined) whole(fields.sequence, 'start/sequence', 1, 2 ** 52)
  else if (fields.time !== undefined) whole(fields.time, 'start/time', 0, 2 ** 52)
  else throw invalid('start', "is 'first', 'new', 'last', a sequence or a time")
}

/** @throws CloudError `core.bus.invalid-subject`, `core.kernel.invalid-config`, `core.contract.payload-too-large`. */
export function checkStreamPublish(subject: string, payload: Uint8Array, options: StreamPublishOptions): void {
  checkSubject(subject)
  if (payload.length > maxStreamPayloadBytes) {
    throw new CloudError(
      'core.contract.payload-too-large',
      `a payload of ${payload.length} bytes; at most ${maxStreamPayloadBytes} are allowed`,
      { field: 'payload' },
    )
  }
  if (options.messageId !== undefined) checkMessageId(options.messageId)
  for (const field of ['expectLastSequence', 'expectLastSubjectSequence'] as const) {
    const value = options[field]
    if (value !== undefined) whole(value, field, 0, 2 ** 52)
  }
}

export function checkMessageId(messageId: string): void {
  if (!messageIdForm.test(messageId)) throw invalid('messageId', 'is 1 to 200 printable ASCII characters')
}

/** @throws CloudError `core.kernel.invalid-config` for a time that is none, or too far ahead. */
export function checkDelay(at: number, now: number): void {
  if (!Number.isFinite(at) || at < 0 || at > now + maxDelayMs) {
    throw invalid('at', `is epoch milliseconds, at most ${maxDelayMs / day} days ahead`)
  }
}

/** @throws CloudError `core.kernel.invalid-config` with the field. */
export function checkBucketConfig(config: BucketConfig): Required<Omit<BucketConfig, 'ttlMs'>> {
  checkName(config.name, 'name')
  return {
    name: config.name,
    durability: config.durability,
    history: whole(config.history ?? 1, 'history', 1, 64),
    maxBytes: whole(config.maxBytes ?? 67_108_864, 'maxBytes', 1, 2 ** 50),
    ...optional('ttlMs', config.ttlMs, 100, 3_650 * day),
  }
}

/** @throws CloudError `core.bus.invalid-subject` with field `key`: a key is a subject of at most 150 characters. */
export function checkKey(key: string): void {
  if (typeof key === 'string' && key.length <= 150 && isSubject(key)) return
  throw new CloudError('core.bus.invalid-subject', `'${String(key).slice(0, 80)}' is not a key`, { field: 'key' })
}

/** @throws CloudError `core.contract.payload-too-large` with field `value`. */
export function checkValue(value: Uint8Array): void {
  if (value.length <= maxBucketValueBytes) return
  throw new CloudError(
    'core.contract.payload-too-large',
    `a value of ${value.length} bytes; at most ${maxBucketValueBytes} are allowed`,
    { field: 'value' },
  )
}

/** A whole number between two limits. @throws CloudError `core.kernel.invalid-config` with the field. */
export function whole(value: number, field: string, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw invalid(field, `is a whole number of ${least} to ${most}`)
  }
  return value
}

/** Handlers at a time, milliseconds to wait and the like. */
export function wholeOr(value: number | undefined, field: string, otherwise: number, most = longest): number {
  return value === undefined ? otherwise : whole(value, field, 1, most)
}

function optional<F extends string>(
  field: F,
  value: number | undefined,
  least: number,
  most: number,
): { readonly [K in F]?: number } {
  if (value === undefined) return {}
  return { [field]: whole(value, field, least, most) } as { readonly [K in F]: number }
}

function checkPatterns(patterns: readonly string[], field: string, most: number): void {
  if (!Array.isArray(patterns) || patterns.length === 0 || patterns.length > most) {
    throw invalid(field, `has 1 to ${most} subject patterns`)
  }
  for (const pattern of patterns) {
    if (typeof pattern !== 'string') throw invalid(field, 'has strings')
    checkPattern(pattern)
  }
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `${field} ${reason}`, { field })
}
