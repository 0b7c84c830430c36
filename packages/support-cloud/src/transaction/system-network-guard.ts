import { AsyncLocalStorage } from 'node:async_hooks'
import dgram from 'node:dgram'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import net from 'node:net'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { TransactionGuard } from './transaction.js'

/** One transaction as its asynchronous context knows it. */
interface Inside {
  readonly name: string
  /** Where it was begun: for calls that a client library makes on a stack of its own. */
  readonly begun: string | undefined
  open: boolean
  violation: CloudError | undefined
}

/**
 * Refuses network calls and nested transactions inside of transactions, naming the line that made them. Everything that
 * connects or writes to a socket is seen (http, tls, `fetch`, undici, every bus and cache client, other database
 * pools), datagrams too; standard output and error, and the transaction's own statements, are allowed. New connections
 * and requests are not made; what goes out on a connection that is open already is only noticed. Either way the
 * transaction rejects and is undone.
 *
 * For development and tests: it patches `net` and `dgram` and costs an asynchronous context per transaction. Install one
 * a process, before the first transaction; disposing takes everything back.
 */
export function systemNetworkGuard(): TransactionGuard & Disposable {
  const context = new AsyncLocalStorage<Inside | undefined>()
  const refuse = (what: string): CloudError | undefined => {
    const current = context.getStore()
    if (current === undefined || !current.open) return undefined
    const place = callerPlace() ?? current.begun ?? 'an unknown place'
    const error = new CloudError(
      'support.transaction.network-call',
      `${what} inside the transaction ${current.name} at ${place}: it would hold its locks as long as the other side likes, and happen again when the transaction is run again`,
      { details: { place, transaction: current.name } },
    )
    current.violation ??= error
    return error
  }
  const inside = async <T>(current: Inside, work: () => Promise<T>): Promise<T> => {
    try {
      const result = await context.run(current, work)
      // A client library may have swallowed the refusal, and would go on in production.
      if (current.violation !== undefined) throw current.violation
      return result
    } catch (error) {
      throw current.violation ?? error
    } finally {
      current.open = false
    }
  }
  const undo = [guardSockets(refuse), guardDatagrams(refuse), guardFetch(refuse), guardUndici(refuse)]
  return {
    begin(name) {
      const begun = callerPlace()
      const outer = context.getStore()
      if (outer?.open === true) {
        throw new CloudError(
          'support.transaction.nested',
          `transaction ${name} was begun inside ${outer.name} at ${begun}: use a savepoint, or run one after the other`,
          { details: { place: begun ?? outer.begun, transaction: outer.name } },
        )
      }
      return { inside: work => inside({ name, begun, open: true, violation: undefined }, work) }
    },
    outside: work => context.run(undefined, work),
    [Symbol.dispose]() {
      for (const take of undo) take()
    },
  }
}

type Refuse = (what: string) => CloudError | undefined
type Method = (this: unknown, ...args: unknown[]) => unknown

/** Replaces a method; @returns what puts the original back. */
function replaceMethod(target: object, name: string, make: (original: Method) => Method): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name)
  const value = make(Reflect.get(target, name) as Method)
  Object.defineProperty(target, name, { value, configurable: true, writable: true })
  return () => {
    if (own === undefined) Reflect.deleteProperty(target, name)
    else Object.defineProperty(target, name, own)
  }
}

/**
 * A refused connection fails like one that nobody answers: clients are written for that, not for a `connect` that
 * throws. What is written to an open connection goes out, because a client that shares it would be left in disorder;
 * the transaction fails all the same.
 */
function guardSockets(refuse: Refuse): () => void {
  const undoConnect = replaceMethod(
    net.Socket.prototype,
    'connect',
    original =>
      function (this: net.Socket, ...args) {
        const error = refuse('a connection was opened')
        if (error === undefined) return original.apply(this, args)
        process.nextTick(() => this.destroy(error))
        return this
      } as Method,
  )
  const undoWrite = replaceMethod(
    net.Socket.prototype,
    'write',
    original =>
      function (this: unknown, ...args) {
        if (this !== process.stdout && this !== process.stderr) refuse('data was sent')
        return original.apply(this, args)
      } as Method,
  )
  return () => {
    undoConnect()
    undoWrite()
  }
}

function guardDatagrams(refuse: Refuse): () => void {
  return replaceMethod(
    dgram.Socket.prototype,
    'send',
    original =>
      function (this: unknown, ...args) {
        const error = refuse('a datagram was sent')
        if (error !== undefined) throw error
        return original.apply(this, args)
      },
  )
}

function guardFetch(refuse: Refuse): () => void {
  const original = globalThis.fetch
  globalThis.fetch = (...args) => {
    const error = refuse('fetch was called')
    return error === undefined ? original(...args) : Promise.reject(error)
  }
  return () => {
    globalThis.fetch = original
  }
}

/** undici queues requests and writes them later, maybe elsewhere: they are refused where they are made. */
function guardUndici(refuse: Refuse): () => void {
  const onCreate = (message: unknown): void => {
    const { request } = message as { request?: { onError?: (error: Error) => void } }
    const error = refuse('a request was made')
    if (error !== undefined) request?.onError?.(error)
  }
  subscribe('undici:request:create', onCreate)
  return () => {
    unsubscribe('undici:request:create', onCreate)
  }
}

/** Node itself, installed packages and the platform's own sources: the line that is meant called them. */
const inner = /\(?node:|\(<anonymous>\)|[\\/]node_modules[\\/]|[\\/][a-z]+-cloud[\\/](dist[\\/])?src[\\/]/

/** File, line and column of the innermost call outside of these, if the stack has one. */
function callerPlace(): string | undefined {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 50
  const frames = (new Error().stack ?? '').split('\n').slice(1)
  Error.stackTraceLimit = limit
  const foreign = frames.filter(frame => !inner.test(frame))
  const frame = foreign[0] ?? ''
  return /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?$/.exec(frame.trim())?.[1]
}
