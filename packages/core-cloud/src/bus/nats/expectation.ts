import { compare, parseSemVer } from '@nats-io/transport-node'
import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import { late } from '../pending.js'
import type { PublishAck } from '../stream.js'
import { type JetApi, patienceMs } from './jet-api.js'
import type { JetStreamInfo } from './jet-config.js'
import type { NatsLink } from './nats-link.js'
import { storedMessage } from './stored.js'

const maxKnown = 1_024

/** The first server that checks the last sequence of a subject against what is still being replicated. */
const mended = parseSemVer('2.10.19')

/**
 * Compare-and-set on a stream of several copies. Before 2.10 a server compares with what it has stored, not with what is
 * on its way to the copies: of several changes at one time all are accepted (nats-server issue 4320; of new subjects
 * issue 5644, until 2.10.19). The last sequence of the whole stream is compared rightly. So there we look at the
 * subject ourselves and then demand that nothing at all was stored since; when something was, we look again.
 */
export class Expectation {
  readonly #link: NatsLink
  readonly #api: JetApi
  readonly #clock: Clock
  readonly #ids: Ids
  /** Streams with several copies, by name; by the subject that was asked for. */
  readonly #streams = new Map<string, { readonly name: string; readonly copies: number }>()

  constructor(options: { readonly link: NatsLink; readonly api: JetApi; readonly clock: Clock; readonly ids: Ids }) {
    this.#link = options.link
    this.#api = options.api
    this.#clock = options.clock
    this.#ids = options.ids
  }

  /** True when the server's own comparison cannot be relied on. */
  get careful(): boolean {
    const { info } = this.#link
    return info?.cluster !== undefined && compare(parseSemVer(info.version), mended) < 0
  }

  /**
   * @param put - publishes, with what the whole stream's last sequence must be; undefined: no matter.
   * @throws CloudError `core.bus.conflict`, and what `put` throws.
   */
  async meet(
    subject: string,
    expected: number,
    put: (streamSequence: number | undefined) => Promise<PublishAck>,
  ): Promise<PublishAck> {
    const stream = await this.#streamOf(subject)
    if (stream === undefined || stream.copies < 2) return await put(undefined)
    const end = this.#clock.monotonic() + patienceMs
    for (let attempt = 0; ; attempt++) {
      const { state } = await this.#api.demand<JetStreamInfo>(`STREAM.INFO.${stream.name}`)
      const last = await storedMessage(this.#api, stream.name, { last_by_subj: subject })
      if ((last?.sequence ?? 0) !== expected)
        throw new CloudError('core.bus.conflict', `the last message of ${subject} is ${last?.sequence ?? 0}`)
      try {
        return await put(state.last_seq)
      } catch (error) {
        if (!CloudError.is(error, 'core.bus.conflict')) throw error
        if (this.#clock.monotonic() >= end) throw late(subject)
        await sleep(this.#clock, this.#ids.random() * Math.min(200, 5 * 2 ** Math.min(attempt, 6)))
      }
    }
  }

  async #streamOf(subject: string): Promise<{ readonly name: string; readonly copies: number } | undefined> {
    const known = this.#streams.get(subject)
    if (known !== undefined) return known
    const { streams } = await this.#api.demand<{ readonly streams?: readonly string[] | null }>('STREAM.NAMES', {
      subject,
    })
    const name = streams?.[0]
    if (name === undefined) return undefined
    const { config } = await this.#api.demand<JetStreamInfo>(`STREAM.INFO.${name}`)
    const found = { name, copies: config.num_replicas }
    if (this.#streams.size >= maxKnown) this.#streams.clear()
    this.#streams.set(subject, found)
    return found
  }
}
