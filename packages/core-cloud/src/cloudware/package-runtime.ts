import { pathToFileURL } from 'node:url'
import type { LogFields, Logger, LogLevel } from '../kernel/logger.js'
import type { Cloudware, CloudwareState, HookHandler } from './cloudware.js'
import type { ErrorFrame, HostFrame, PackageFrame, StateRequest } from './frames.js'

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }

/** Runs one package inside its process: loads the entry, answers calls, passes state and log lines to the host. */
export class PackageRuntime {
  readonly #send: (frame: PackageFrame) => void
  readonly #handlers = new Map<string, HookHandler>()
  readonly #running = new Map<number, AbortController>()
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #opened: AsyncDisposable | undefined

  constructor(send: (frame: PackageFrame) => void) {
    this.#send = send
  }

  /** Takes one frame of the host. Never throws. Resolves true when the process should end. */
  async take(frame: HostFrame): Promise<boolean> {
    switch (frame.t) {
      case 'start':
        await this.#start(frame)
        return false
      case 'call':
        await this.#call(frame)
        return false
      case 'abort':
        this.#running.get(frame.id)?.abort(new Error('the host no longer waits for this answer'))
        return false
      case 'ping':
        this.#send({ t: 'pong', id: frame.id })
        return false
      case 'state':
        this.#answerState(frame)
        return false
      case 'stop':
        await Promise.resolve(this.#opened?.[Symbol.asyncDispose]()).catch(() => undefined)
        return true
    }
  }

  async #start({ name, entry, config, hooks }: HostFrame & { t: 'start' }): Promise<void> {
    try {
      const cloudware = cloudwareOf(await import(pathToFileURL(entry).href))
      if (cloudware.name !== name) {
        throw new Error(`the entry calls itself '${cloudware.name}', package.json says '${name}'`)
      }
      let open = true
      this.#opened = await cloudware.start({
        config,
        logger: this.#logger({}),
        state: this.#state(),
        register: (hook, handler) => {
          if (!open) throw new Error(`${hook}: register is for the time of start`)
          if (!hooks.includes(hook)) throw new Error(`the manifest does not name hook ${hook}`)
          if (this.#handlers.has(hook)) throw new Error(`hook ${hook} has a handler already`)
          if (typeof handler !== 'function') throw new Error(`the handler of ${hook} is not a function`)
          this.#handlers.set(hook, handler)
        },
      })
      open = false
      const absent = hooks.filter(hook => !this.#handlers.has(hook))
      if (absent.length > 0) throw new Error(`start did not register ${absent.join(', ')}, which the manifest names`)
      this.#send({ t: 'ready' })
    } catch (error) {
      this.#send({ t: 'failed', error: errorFrame(error) })
    }
  }

  async #call({ id, hook, input, eventId }: HostFrame & { t: 'call' }): Promise<void> {
    const abort = new AbortController()
    this.#running.set(id, abort)
    try {
      const handler = this.#handlers.get(hook)
      if (handler === undefined) throw new Error(`no handler for ${hook}`)
      const value: unknown = await handler(input, {
        signal: abort.signal,
        ...(eventId === undefined ? {} : { eventId }),
      })
      this.#send({ t: 'result', id, value })
    } catch (error) {
      this.#send({ t: 'error', id, error: errorFrame(error) })
    } finally {
      this.#running.delete(id)
    }
  }

  #answerState({ id, value, error }: HostFrame & { t: 'state' }): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(Object.assign(new Error(error.message), error.code === undefined ? {} : { code: error.code }))
  }

  #ask(request: StateRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#lastId += 1
      this.#waiting.set(this.#lastId, { resolve, reject })
      this.#send({ t: 'state', id: this.#lastId, ...request })
    })
  }

  #state(): CloudwareState {
    return {
      get: key => this.#ask({ op: 'get', key }),
      put: async (key, value) => {
        await this.#ask({ op: 'put', key, value })
      },
      increment: async (key, by) => Number(await this.#ask({ op: 'increment', key, by })),
      incrementOnce: async (key, by, once) => Number(await this.#ask({ op: 'increment-once', key, by, once })),
    }
  }

  #logger(bound: LogFields): Logger {
    const at =
      (level: LogLevel) =>
      (message: string, fields: LogFields = {}): void =>
        this.#send({ t: 'log', level, message, fields: plainFields({ ...bound, ...fields }) })
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: fields => this.#logger({ ...bound, ...fields }),
    }
  }
}

function cloudwareOf(module: Record<string, unknown>): Cloudware {
  const found = (module.cloudware ?? module.default) as Partial<Cloudware> | undefined
  if (
    typeof found !== 'object' ||
    found === null ||
    typeof found.name !== 'string' ||
    typeof found.start !== 'function'
  ) {
    throw new Error('the entry exports no cloudware: export const cloudware = { name, start }')
  }
  return found as Cloudware
}

function errorFrame(error: unknown): ErrorFrame {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return {
    message: (error instanceof Error ? error.message : String(error)).slice(0, 1_000),
    ...(typeof code === 'string' ? { code: code.slice(0, 100) } : {}),
  }
}

/** Errors have no enumerable fields; a log line without their text would be of no use. */
function plainFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      value instanceof Error ? { text: value.message, stack: value.stack } : value,
    ]),
  )
}
