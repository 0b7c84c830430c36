import { readFile, rename, writeFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Logger } from '../kernel/logger.js'
import { Reading } from './reading.js'

/** Epochs with something unsent that are kept; beyond it the oldest go, and that is logged as lost usage. */
const maxEpochs = 10_000
/** Readings of one message. */
const maxBatch = 500

const spoolForm = Compile(Type.Array(Reading))

export interface ReadingSpool {
  /** Keeps a reading until it was sent. A newer one of its epoch takes its place: it says everything the older one did. */
  put(reading: Reading): void
  /**
   * Sends what is unsent. What could not be sent is written to disk, so that it outlives this process.
   * Never rejects; returns whether everything is sent.
   */
  flush(): Promise<boolean>
  readonly unsent: number
}

/** Opens the spool with what an earlier process could not send. A damaged file is put aside, not deleted. */
export async function openReadingSpool(options: {
  readonly path: string
  readonly send: (readings: Reading[]) => Promise<void>
  readonly logger: Logger
}): Promise<ReadingSpool> {
  const { path, send, logger } = options
  const unsent = new Map<string, Reading>()
  let saved = ''
  const put = (reading: Reading): void => {
    const key = `${reading.source}\n${reading.epoch}`
    const before = unsent.get(key)
    if (before !== undefined && before.seq >= reading.seq) return
    unsent.set(key, reading)
    const oldest = unsent.keys().next().value
    if (unsent.size <= maxEpochs || oldest === undefined) return
    logger.error('usage was lost: too many unsent readings', { reading: unsent.get(oldest) })
    unsent.delete(oldest)
  }
  const save = async (): Promise<void> => {
    const text = JSON.stringify([...unsent.values()])
    if (text === saved || (unsent.size === 0 && saved === '')) return
    await writeFile(`${path}.new`, text, { mode: 0o600 })
    await rename(`${path}.new`, path)
    saved = text
  }
  const flushOnce = async (): Promise<boolean> => {
    try {
      while (unsent.size > 0) {
        const batch = [...unsent.values()].slice(0, maxBatch)
        await send(batch)
        for (const reading of batch) {
          const key = `${reading.source}\n${reading.epoch}`
          if (unsent.get(key) === reading) unsent.delete(key)
        }
      }
    } catch (error) {
      logger.debug('readings could not be sent', { error, unsent: unsent.size })
    }
    await save().catch((error: unknown) => logger.error('unsent readings could not be written', { error, path }))
    return unsent.size === 0
  }
  for (const reading of await load(path, logger)) put(reading)
  saved = unsent.size === 0 ? '' : 'unknown'
  let flushing: Promise<boolean> = Promise.resolve(true)
  return {
    put,
    flush() {
      flushing = flushing.then(flushOnce)
      return flushing
    },
    get unsent() {
      return unsent.size
    },
  }
}

async function load(path: string, logger: Logger): Promise<readonly Reading[]> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return []
  try {
    const value: unknown = JSON.parse(text)
    if (spoolForm.Check(value)) return value
    throw new Error('not a list of readings')
  } catch (error) {
    logger.error('the file of unsent readings is damaged; it was put aside', { error, path: `${path}.damaged` })
    await rename(path, `${path}.damaged`)
    return []
  }
}
