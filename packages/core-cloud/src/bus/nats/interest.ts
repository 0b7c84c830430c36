import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import type { NatsLink } from './nats-link.js'
import { controlToken } from './route.js'

const subject = `${controlToken}.interest`
/** Milliseconds without a word of another server until the first question counts as answered. */
const quietMs = 100
/** Milliseconds that a server which answered before is waited for. */
const longestMs = 500

/**
 * Makes sure that the other servers of a cluster know our subscriptions. A server confirms a subscription when it has
 * it itself, and tells the others behind our back: a publisher at another server may be faster than that word. What we
 * publish to another server takes the same way as the word and comes after it. So we ask all servers for a sign of
 * life: on each, one of the programs of this bus answers (a queue per server), and its answer proves that the server
 * has heard of every subscription before. A server without a program of this bus has nobody who could be too fast.
 */
export class Interest {
  readonly #link: NatsLink
  readonly #clock: Clock
  #serving: Subscription | undefined
  #server = ''
  /** Servers that answered, with how often in a row they then did not. */
  readonly #servers = new Map<string, number>()
  #asked = 0
  readonly #questions = new Map<number, (server: string) => void>()
  #current: Promise<void> | undefined
  #known = false

  constructor(link: NatsLink, clock: Clock) {
    this.#link = link
    this.#clock = clock
    link.subscribe(`${link.inbox}.i.*`, message => this.#answered(message))
    this.up()
  }

  /** Connected, perhaps to another server. */
  up(): void {
    const { info } = this.#link
    if (info?.cluster === undefined || info.server_id === this.#server) return
    if (this.#serving !== undefined && !this.#serving.isClosed()) this.#serving.unsubscribe()
    this.#server = info.server_id
    const answer = Buffer.from(info.server_id)
    this.#serving = this.#link.subscribe(
      subject,
      message => {
        if (message.reply !== undefined && message.reply !== '' && this.#link.ready)
          this.#link.publish(message.reply, answer)
      },
      { queue: info.server_id },
    )
  }

  /** Resolves when every server that a program of this bus is connected to knows what was subscribed before. */
  async known(): Promise<void> {
    const { info } = this.#link
    if (info?.cluster === undefined || (info.connect_urls?.length ?? 0) < 2) {
      await this.#link.settled()
      return
    }
    // Callers of one tick share a question, later ones need their own: their subscriptions come later.
    this.#current ??= new Promise((resolve, reject) => {
      process.nextTick(() => {
        this.#current = undefined
        this.#ask().then(resolve, reject)
      })
    })
    await this.#current
  }

  async #ask(): Promise<void> {
    const id = ++this.#asked
    const missing = new Set(this.#servers.keys())
    const first = !this.#known
    await new Promise<void>((resolve, reject) => {
      let cancelQuiet: () => void = () => undefined
      const wait = (ms: number): void => {
        cancelQuiet()
        cancelQuiet = this.#clock.after(ms, () => {
          for (const server of missing) this.#missed(server)
          resolve()
        })
      }
      this.#questions.set(id, server => {
        this.#servers.set(server, 0)
        missing.delete(server)
        if (first) wait(quietMs)
        else if (missing.size === 0) {
          cancelQuiet()
          resolve()
        }
      })
      // Late answers still teach us which servers there are.
      this.#clock.after(4 * longestMs, () => this.#questions.delete(id))
      wait(first ? 2 * quietMs : longestMs)
      this.#link.publish(subject, Buffer.alloc(0), `${this.#link.inbox}.i.${id}`)
      this.#link.settled().catch((error: unknown) => {
        cancelQuiet()
        reject(error as Error)
      })
    })
    this.#known = true
    await this.#link.settled()
  }

  #missed(server: string): void {
    const times = (this.#servers.get(server) ?? 0) + 1
    if (times >= 2) this.#servers.delete(server)
    else this.#servers.set(server, times)
  }

  #answered(message: Msg): void {
    const id = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1))
    const server = Buffer.from(message.data).toString('latin1')
    if (/^[A-Za-z0-9]{1,64}$/.test(server) && this.#servers.size < 256) this.#questions.get(id)?.(server)
  }
}
