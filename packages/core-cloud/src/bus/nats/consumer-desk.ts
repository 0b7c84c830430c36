import { CloudError } from '../../kernel/errors.js'
import type { FullConsumerConfig } from '../stream/stream-checks.js'
import type { ConsumerInfo, StartAt } from '../stream.js'
import { isJetError, type JetApi, JetCode } from './jet-api.js'
import {
  type JetConsumerConfig,
  type JetConsumerInfo,
  type JetStreamInfo,
  jetConsumerConfig,
  startOf,
} from './jet-config.js'

/** The server cuts a start behind the end: the members know it from the consumer's description. */
const fromWord = /^aaas from (\d{1,16})$/

/** Makes, changes and removes consumers of JetStream. */
export class ConsumerDesk {
  readonly #api: JetApi

  constructor(api: JetApi) {
    this.#api = api
  }

  /** Makes the consumer, or gives the one that is there new settings. @returns the first sequence that is wanted. */
  async join(stream: string, config: FullConsumerConfig, start: StartAt | undefined): Promise<number> {
    const { name } = config
    for (let attempt = 1; ; attempt++) {
      const found = await this.#api.ask<JetConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`, undefined, [
        JetCode.consumerNotFound,
      ])
      const begin = isJetError(found) ? beginOf(start) : keptOf(found.config)
      const wanted = jetConsumerConfig(config, begin)
      if (!isJetError(found) && same(found.config, wanted)) return fromOf(found.config)
      const made = await this.#api.ask<JetConsumerInfo>(
        `CONSUMER.DURABLE.CREATE.${stream}.${name}`,
        { stream_name: stream, config: wanted },
        [JetCode.consumerExists],
      )
      if (!isJetError(made)) return fromOf(made.config)
      if (attempt === 5)
        throw new CloudError('core.bus.conflict', `the consumer ${name} is changed by others again and again`)
    }
  }

  async info(stream: string, consumer: string): Promise<ConsumerInfo> {
    const info = await this.#api.demand<JetConsumerInfo>(`CONSUMER.INFO.${stream}.${consumer}`)
    return {
      stream,
      name: consumer,
      pending: info.num_pending,
      unsettled: info.num_ack_pending,
      settledSequence: info.ack_floor.stream_seq,
    }
  }

  async remove(stream: string, consumer: string): Promise<void> {
    await this.#api.ask(`CONSUMER.DELETE.${stream}.${consumer}`, undefined, [
      JetCode.consumerNotFound,
      JetCode.streamNotFound,
    ])
  }

  /** Where following begins: `new` must mean the same after an interruption. */
  async followFrom(
    stream: string,
    start: StartAt | undefined,
  ): Promise<{ readonly begin: ReturnType<typeof startOf>; readonly from: number }> {
    if (start === 'new') {
      const { state } = await this.#api.demand<JetStreamInfo>(`STREAM.INFO.${stream}`)
      const sequence = state.last_seq + 1
      return { begin: startOf({ sequence }), from: sequence }
    }
    const from = typeof start === 'object' && 'sequence' in start ? start.sequence : 0
    return { begin: startOf(start), from }
  }
}

type Begin = ReturnType<typeof startOf> & Pick<JetConsumerConfig, 'description'>

function beginOf(start: StartAt | undefined): Begin {
  const begin = startOf(start)
  return begin.opt_start_seq === undefined ? begin : { ...begin, description: `aaas from ${begin.opt_start_seq}` }
}

function keptOf(config: JetConsumerConfig): Begin {
  return {
    deliver_policy: config.deliver_policy,
    ...(config.opt_start_seq === undefined ? {} : { opt_start_seq: config.opt_start_seq }),
    ...(config.opt_start_time === undefined ? {} : { opt_start_time: config.opt_start_time }),
    ...(config.description === undefined ? {} : { description: config.description }),
  }
}

function fromOf(config: JetConsumerConfig): number {
  return Number(fromWord.exec(config.description ?? '')?.[1] ?? 0)
}

function same(found: JetConsumerConfig, wanted: JetConsumerConfig): boolean {
  return (
    found.ack_wait === wanted.ack_wait &&
    found.max_ack_pending === wanted.max_ack_pending &&
    (found.filter_subject ?? '') === (wanted.filter_subject ?? '')
  )
}
