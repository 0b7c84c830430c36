import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import { connectClient, type HostMemory } from './connect-client.js'
import type { BudgetMember, ConnectionBudget } from './connection-budget.js'

export interface ConnectionPoolOptions {
  readonly url: string
  readonly max: number
  readonly waitMs: number
  readonly maxWaiting: number
  readonly idleMs: number
  readonly settings: pg.ClientConfig
  readonly clock: Clock
  readonly budget?: ConnectionBudget
}

/** A connection that one caller has. */
export interface PoolConnection {
  readonly client: pg.Client
  /** Gives it back; with an error it is closed instead. The second call does nothing. */
  release(error?: Error): void
}

interface Waiter {
  readonly resolve: (connection: PoolConnection) => void
  readonly reject: (error: unknown) => void
  readonly cancel: () => void
}

interface Member {
  readonly client: pg.Client
  readonly since: number
  broken: boolean
  cancelIdle: (() => void) | undefined
}

/**
 * Connections to one database: opened on demand, at most `max` and no more than the budget has, handed to callers in
 * the order in which they asked. The driver's own pool has neither a bound on its queue, nor a budget over several
 * databases, nor several hosts.
 */
export class ConnectionPool implements BudgetMember {
  readonly #options: ConnectionPoolOptions
  /** The last one was used last and is taken first, so that the others can end. */
  #idle: Member[] = []
  readonly #busy = new Set<Member>()
  readonly #waiting = new Set<Waiter>()
  readonly #memory: HostMemory = { last: 0, fence: 0 }
  #opening = 0
  #ending: (() => void)[] | undefined

  constructor(options: ConnectionPoolOptions) {
    this.#options = options
    options.budget?.places.join(this)
  }

  get open(): number {
    return this.#idle.length + this.#busy.size + this.#opening
  }

  get wants(): boolean {
    return this.#waiting.size > this.#opening && this.open < this.#options.max
  }

  /**
   * @throws CloudError `support.rdbms.overloaded` when no connection came free in `waitMs` or too many wait;
   *   `support.rdbms.unavailable`, or an error of the server, when one could not be opened.
   */
  connect(): Promise<PoolConnection> {
    if (this.#ending !== undefined) return Promise.reject(new Error('the database was closed'))
    const idle = this.#idle.pop()
    if (idle !== undefined) return Promise.resolve(this.#hand(idle))
    const { maxWaiting, waitMs, clock } = this.#options
    if (this.#waiting.size >= maxWaiting + (this.#options.max - this.#busy.size)) {
      return Promise.reject(overloaded(`${this.#waiting.size} callers wait for a connection already`))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve,
        reject,
        cancel: clock.after(waitMs, () => {
          this.#waiting.delete(waiter)
          reject(
            this.#opening > 0
              ? new CloudError('support.rdbms.unavailable', `no connection could be opened in ${waitMs} ms`)
              : overloaded(`no connection came free in ${waitMs} ms`),
          )
        }),
      }
      this.#waiting.add(waiter)
      this.#grow()
    })
  }

  /** Waits for connections that are in use, then closes all. */
  async end(): Promise<void> {
    if (this.#ending === undefined) {
      this.#ending = []
      for (const waiter of this.#waiting) this.#refuse(waiter, new Error('the database was closed'))
      for (const member of this.#idle.splice(0)) this.#close(member)
    }
    if (this.open > 0) await new Promise<void>(resolve => this.#ending?.push(resolve))
    this.#options.budget?.places.leave(this)
  }

  dropIdle(): boolean {
    const member = this.#idle.shift()
    if (member !== undefined) this.#end(member)
    return member !== undefined
  }

  grant(): boolean {
    if (!this.wants || this.#ending !== undefined) return false
    void this.#openOne()
    return true
  }

  #grow(): void {
    while (this.wants && (this.#options.budget?.places.take(this) ?? true)) void this.#openOne()
  }

  async #openOne(): Promise<void> {
    this.#opening += 1
    const { url, waitMs, settings, clock } = this.#options
    try {
      const { client } = await connectClient({ url, timeoutMs: waitMs, memory: this.#memory, settings })
      const member: Member = { client, since: clock.monotonic(), broken: false, cancelIdle: undefined }
      const onLost = (): void => this.#lost(member)
      client.on('error', onLost)
      client.once('end', onLost)
      this.#opening -= 1
      if (this.#ending === undefined) this.#offer(member)
      else this.#close(member)
    } catch (error) {
      this.#opening -= 1
      this.#options.budget?.places.give()
      const [first] = this.#waiting
      // Those behind it try for themselves.
      if (first !== undefined) this.#refuse(first, error)
      this.#afterClose()
      if (this.#ending === undefined) this.#grow()
    }
  }

  #offer(member: Member): void {
    const [first] = this.#waiting
    if (first !== undefined) {
      this.#waiting.delete(first)
      first.cancel()
      first.resolve(this.#hand(member))
      return
    }
    // Alone, a connection that nobody uses does not keep the process alive.
    unref(member.client)
    this.#idle.push(member)
    member.cancelIdle = this.#options.clock.after(this.#options.idleMs, () => {
      this.#idle = this.#idle.filter(one => one !== member)
      this.#close(member)
    })
  }

  #hand(member: Member): PoolConnection {
    member.cancelIdle?.()
    member.cancelIdle = undefined
    ref(member.client)
    this.#busy.add(member)
    let taken = true
    return {
      client: member.client,
      release: error => {
        if (!taken) return
        taken = false
        this.#busy.delete(member)
        const at = { heldMs: this.#options.clock.monotonic() - member.since, needed: this.#waiting.size > 0 }
        const yields = this.#options.budget?.places.shouldYield(this, at) ?? false
        if (error !== undefined || member.broken || this.#ending !== undefined || yields) this.#close(member)
        else this.#offer(member)
      },
    }
  }

  #lost(member: Member): void {
    member.broken = true
    if (!this.#idle.includes(member)) return
    this.#idle = this.#idle.filter(one => one !== member)
    this.#close(member)
  }

  #end(member: Member): void {
    member.cancelIdle?.()
    member.broken = true
    ref(member.client)
    member.client.end().catch(() => undefined)
  }

  #close(member: Member): void {
    this.#end(member)
    this.#options.budget?.places.give()
    this.#afterClose()
    if (this.#ending === undefined) this.#grow()
  }

  #afterClose(): void {
    if (this.open === 0) for (const resolve of this.#ending?.splice(0) ?? []) resolve()
  }

  #refuse(waiter: Waiter, error: unknown): void {
    this.#waiting.delete(waiter)
    waiter.cancel()
    waiter.reject(error)
  }
}

function overloaded(text: string): CloudError {
  return new CloudError('support.rdbms.overloaded', text)
}

/** The driver has both; its typings leave them out. */
function ref(client: pg.Client): void {
  ;(client as pg.Client & { ref(): void }).ref()
}

function unref(client: pg.Client): void {
  ;(client as pg.Client & { unref(): void }).unref()
}
