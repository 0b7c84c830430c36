import { CloudError } from '../../kernel/errors.js'
import type { Durability, StreamInfo } from '../stream.js'
import { isJetError, type JetApi, JetCode } from './jet-api.js'
import { durabilityOf, type JetStreamConfig, type JetStreamInfo, streamInfoOf } from './jet-config.js'

/** Makes, changes and removes streams of JetStream. */
export class StreamDesk {
  readonly #api: JetApi
  readonly #assumeSynced: boolean

  constructor(api: JetApi, assumeSynced: boolean) {
    this.#api = api
    this.#assumeSynced = assumeSynced
  }

  /** @throws CloudError as `Streams.ensure`. */
  async ensure(config: JetStreamConfig, durability: Durability): Promise<StreamInfo> {
    if (durability === 'synced' && !this.#assumeSynced)
      throw new CloudError(
        'core.bus.unsupported',
        'no NATS server says whether it syncs each message to its disk: run it with `sync_interval: always` and say so ' +
          'by `assumeSynced`',
        { field: 'durability' },
      )
    const { name } = config
    // Two may make it at once: who is second finds it.
    for (let attempt = 1; ; attempt++) {
      const found = await this.#api.ask<JetStreamInfo>(`STREAM.INFO.${name}`, undefined, [JetCode.streamNotFound])
      if (!isJetError(found)) return await this.#change(found, config, durability)
      const made = await this.#api.ask<JetStreamInfo>(`STREAM.CREATE.${name}`, config, [JetCode.streamNameInUse])
      if (!isJetError(made)) return streamInfoOf(made)
      if (attempt === 5)
        throw new CloudError('core.bus.conflict', `the stream ${name} is made by others again and again`)
    }
  }

  async #change(found: JetStreamInfo, config: JetStreamConfig, durability: Durability): Promise<StreamInfo> {
    const present = durabilityOf(found.config)
    if (present !== durability)
      throw new CloudError('core.bus.conflict', `the stream ${config.name} is ${present}, not ${durability}`, {
        field: 'durability',
      })
    const same = (Object.keys(config) as (keyof JetStreamConfig)[]).every(
      key =>
        JSON.stringify(found.config[key]) === JSON.stringify(config[key]) || isDefault(found.config[key], config[key]),
    )
    if (same) return streamInfoOf(found)
    // What another tool configured beside stays.
    return streamInfoOf(
      await this.#api.demand<JetStreamInfo>(`STREAM.UPDATE.${config.name}`, { ...found.config, ...config }),
    )
  }

  /** Makes a stream with three copies where there are three servers, else with one. */
  async makeBest(config: (durability: Durability) => JetStreamConfig): Promise<void> {
    const { name } = config('relaxed')
    const found = await this.#api.ask<JetStreamInfo>(`STREAM.INFO.${name}`, undefined, [JetCode.streamNotFound])
    if (!isJetError(found)) return
    for (const durability of ['replicated', 'relaxed'] as const) {
      try {
        await this.#api.ask(`STREAM.CREATE.${name}`, config(durability), [JetCode.streamNameInUse])
        return
      } catch (error) {
        if (durability === 'relaxed' || !CloudError.is(error, 'core.bus.unsupported')) throw error
      }
    }
  }

  async info(stream: string): Promise<StreamInfo> {
    return streamInfoOf(await this.#api.demand<JetStreamInfo>(`STREAM.INFO.${stream}`))
  }

  async names(): Promise<string[]> {
    const names: string[] = []
    for (;;) {
      const page = await this.#api.demand<{ readonly total: number; readonly streams?: readonly string[] | null }>(
        'STREAM.NAMES',
        { offset: names.length },
      )
      names.push(...(page.streams ?? []))
      if (names.length >= page.total || (page.streams ?? []).length === 0) return names
    }
  }

  async remove(stream: string): Promise<void> {
    await this.#api.ask(`STREAM.DELETE.${stream}`, undefined, [JetCode.streamNotFound])
  }

  async purge(stream: string, which: { readonly subject?: string; readonly below?: number }): Promise<number> {
    const { purged } = await this.#api.demand<{ readonly purged?: number }>(`STREAM.PURGE.${stream}`, {
      ...(which.subject === undefined ? {} : { filter: which.subject }),
      ...(which.below === undefined ? {} : { seq: which.below }),
    })
    return purged ?? 0
  }
}

/** The server leaves out what is off. */
function isDefault(found: unknown, wanted: unknown): boolean {
  return found === undefined && (wanted === false || wanted === 0 || wanted === -1)
}
