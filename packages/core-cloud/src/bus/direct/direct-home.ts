import { CloudError } from '../../kernel/errors.js'
import type { BusHeaders } from '../bus.js'
import { encodeHeaders, noHeaders } from '../headers.js'
import { IdTable } from '../id-table.js'
import { checkPayload } from '../pending.js'
import { PlainMessage } from '../served-message.js'
import type { DirectCall, DirectTarget } from './direct-call.js'
import type { DirectDesk } from './direct-desk.js'
import { DirectRequest } from './direct-subscriber.js'

/** Calls of this instance to itself without an answer; beyond: `core.bus.overloaded`. */
const maxCalls = 16_384

/** This instance as a peer of itself: a call that it serves does not leave the process. */
export class DirectHome implements DirectTarget {
  readonly blocked = false
  /** Stamped on calls and answers. */
  name = ''
  readonly #desk: DirectDesk
  readonly #otherWay: (call: DirectCall) => void
  readonly #calls = new IdTable<{ readonly call: DirectCall; message: DirectRequest | undefined }>()

  constructor(options: { readonly desk: DirectDesk; readonly otherWay: (call: DirectCall) => void }) {
    this.#desk = options.desk
    this.#otherWay = options.otherWay
  }

  get inFlight(): number {
    return this.#calls.size
  }

  send(call: DirectCall): void {
    const subscriber = this.#desk.find(call.subject)
    if (subscriber === undefined) {
      this.#otherWay(call)
      return
    }
    const entry: { readonly call: DirectCall; message: DirectRequest | undefined } = { call, message: undefined }
    const id = this.#calls.size < maxCalls ? this.#calls.add(entry) : 0
    if (id === 0) throw new CloudError('core.bus.overloaded', `too many calls wait; ${call.subject} was not sent`)
    call.id = id
    const { subject, payload, headers: block } = call
    entry.message = new DirectRequest(
      { subject, payload, block, sender: this.name, delivery: id, deadline: call.options.deadline },
      this.#answer,
      message => {
        const text = `the handler of ${subject} failed`
        this.#settle(message.delivery)?.reject(new CloudError('core.kernel.internal', text))
      },
    )
    if (subscriber.push(entry.message)) return
    this.#calls.release(id)
    throw new CloudError('core.bus.overloaded', `the queue of ${subscriber.subject} is full`)
  }

  abandon(call: DirectCall, error: CloudError): void {
    const entry = this.#calls.get(call.id)
    if (entry?.call !== call) return
    this.#settle(call.id)?.reject(error)
    entry.message?.abandon(error.code)
  }

  close(error: CloudError): void {
    for (const [, { call }] of this.#calls.entries()) this.abandon(call, error)
  }

  readonly #answer = async (message: DirectRequest, payload: Uint8Array, headers?: BusHeaders): Promise<void> => {
    if (this.#calls.get(message.delivery)?.message !== message) return
    checkPayload(payload)
    const block = headers === undefined ? noHeaders : encodeHeaders(headers)
    const call = this.#settle(message.delivery)
    // The handler may change its bytes when this returned.
    call?.resolve(new PlainMessage(message.subject, Buffer.from(payload), block, this.name))
  }

  #settle(id: number): DirectCall | undefined {
    const entry = this.#calls.release(id)
    if (entry === undefined) return undefined
    entry.message?.settled()
    entry.call.release()
    return entry.call
  }
}
