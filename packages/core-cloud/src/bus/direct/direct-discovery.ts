import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { Bus, BusMessage } from '../bus.js'
import {
  type Announcement,
  type DiscoveryMessage,
  decodeDiscovery,
  encodeDiscovery,
  maxAnnouncementBytes,
  maxListeners,
  readAnnouncement,
  type SignedAnnouncement,
  signAnnouncement,
  verifyAnnouncement,
} from './direct-announcement.js'
import type { CredentialCheck, DirectCredential } from './direct-credential.js'
import type { DirectPlaces } from './direct-endpoint.js'
import type { DirectSelf } from './direct-handshake.js'

export interface DirectDiscoveryLimits {
  /** Instances known at a time, default 1_024. While there are more, every call takes the bus below. */
  readonly maxPeers: number
  /** Milliseconds between signs of life, default 5_000; who gives none for three times as long is forgotten. */
  readonly refreshMs: number
  /** Milliseconds a newcomer only listens, so that it knows everybody before its first direct call. Default 500. */
  readonly joinMs: number
  /** Milliseconds that `subscribe` waits until every known instance has heard of it. Default 1_000. */
  readonly settleMs: number
}

/** Another instance, as far as it is known and believed. */
export interface DiscoveredPeer {
  readonly instance: string
  readonly version: number
  readonly credential: DirectCredential
  readonly places: DirectPlaces
  readonly listeners: Announcement['listeners']
}

interface Known {
  peer: DiscoveredPeer
  /** Highest version of ours that it has seen. */
  seen: number
  /** Monotonic milliseconds. */
  expiresAt: number
}

export interface DirectDiscoveryOptions {
  readonly below: Bus
  /** First tokens of the subjects it uses: `<subject>.all` and `<subject>.to.<instance>`. */
  readonly subject: string
  readonly self: () => DirectSelf
  readonly places: DirectPlaces
  readonly listeners: () => readonly [string, string][]
  readonly check: CredentialCheck
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: DirectDiscoveryLimits
  readonly onPeer: (peer: DiscoveredPeer) => void
  readonly onGone: (instance: string) => void
}

/**
 * Who is there, and who listens to what. Every change is announced with a rising version and counts as known when all
 * known instances said so; what gets lost is found by the next sign of life, which carries the version.
 */
export class DirectDiscovery {
  readonly #options: DirectDiscoveryOptions
  readonly #known = new Map<string, Known>()
  #version = 0
  #current: SignedAnnouncement | undefined
  #round: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #onSeen: () => void = () => undefined
  #stopTimer: () => void = () => undefined
  #stopJoin: () => void = () => undefined
  /** Monotonic milliseconds until which somebody is there that found no place. */
  #crowdedUntil = 0
  #joined = false
  #left = false

  constructor(options: DirectDiscoveryOptions) {
    this.#options = options
  }

  /** True when every listener there is can be taken to be known. */
  get complete(): boolean {
    if (!this.#joined || this.#left) return false
    return this.#crowdedUntil === 0 || this.#options.clock.monotonic() >= this.#crowdedUntil
  }

  /** @throws CloudError `core.bus.refused` when the rights do not reach, and whatever the bus below says. */
  async open(): Promise<void> {
    const { below, subject, self, clock, limits } = this.#options
    await below.subscribe(`${subject}.all`, message => this.#receive(message))
    await below.subscribe(`${subject}.to.${self().instance}`, message => this.#receive(message))
    await this.#send('all', { ...this.#sign(), ask: true })
    this.#stopJoin = clock.after(limits.joinMs, () => {
      this.#joined = true
    })
    this.#schedule()
  }

  /** Tells everybody what one listens to now. Resolves when all know it, or after `settleMs`. Never rejects. */
  announce(): Promise<void> {
    // Changes that come while a round is under way share the one after it.
    this.#next ??= this.#round.then(() => {
      this.#next = undefined
      this.#round = this.#announceNow()
      return this.#round
    })
    return this.#next
  }

  /** Takes leave of everybody; nothing is announced after. Never rejects. */
  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    this.#stopTimer()
    this.#stopJoin()
    this.#onSeen()
    await this.#send('all', this.#sign()).catch(error => this.#note('leaving was not announced', error))
  }

  async #announceNow(): Promise<void> {
    if (this.#left) return
    try {
      const message = this.#sign()
      await this.#send('all', message)
      await this.#everybodyHasSeen(this.#version)
    } catch (error) {
      this.#note('a change was not announced', error)
    }
  }

  #everybodyHasSeen(version: number): Promise<void> {
    const { clock, limits } = this.#options
    return new Promise(resolve => {
      const stopTimer = clock.after(limits.settleMs, () => finish())
      const finish = (): void => {
        stopTimer()
        this.#onSeen = () => undefined
        resolve()
      }
      this.#onSeen = () => {
        if (this.#left || [...this.#known.values()].every(({ seen }) => seen >= version)) finish()
      }
      this.#onSeen()
    })
  }

  #sign(): SignedAnnouncement {
    const { self, places, listeners } = this.#options
    const { instance, credential, privateKey } = self()
    this.#version += 1
    const head = { instance, version: this.#version, credential, leaving: this.#left, ...places }
    const all = this.#left ? [] : [...listeners()]
    this.#current = signAnnouncement({ ...head, listeners: all.slice(0, maxListeners) }, privateKey)
    if (all.length > maxListeners || encodeDiscovery(this.#current).length > maxAnnouncementBytes) {
      this.#options.logger.warn('too many subscriptions to list: calls that others serve as well take the hub', {
        count: all.length,
      })
      this.#current = signAnnouncement({ ...head, listeners: [['>', '']] }, privateKey)
    }
    return this.#current
  }

  #schedule(): void {
    const { clock, limits, ids, self } = this.#options
    const pause = limits.refreshMs * (0.75 + 0.5 * ids.random())
    this.#stopTimer = clock.after(pause, () => {
      this.#forget()
      const alive = { type: 'alive', instance: self().instance, version: this.#version } as const
      this.#send('all', alive).catch(error => this.#note('the sign of life was not sent', error))
      this.#schedule()
    })
  }

  #forget(): void {
    const { clock } = this.#options
    const now = clock.monotonic()
    for (const [instance, { expiresAt, peer }] of this.#known)
      if (now >= expiresAt || clock.now() >= peer.credential.until) this.#remove(instance)
  }

  #remove(instance: string): void {
    if (!this.#known.delete(instance)) return
    this.#options.onGone(instance)
    this.#onSeen()
  }

  #receive(message: BusMessage): void {
    if (this.#left) return
    const told = decodeDiscovery(message.payload)
    if (told === undefined) {
      this.#options.logger.warn('a discovery message cannot be read', { sender: message.sender })
      return
    }
    if (told.type === 'announce') this.#announced(told, message.sender)
    else if (told.instance !== this.#options.self().instance) this.#told(told)
  }

  #told(told: Exclude<DiscoveryMessage, SignedAnnouncement>): void {
    const known = this.#known.get(told.instance)
    switch (told.type) {
      case 'ask':
        if (this.#current !== undefined) this.#reply(told.instance, this.#current)
        return
      case 'seen':
        if (known === undefined || told.version <= known.seen) return
        known.seen = told.version
        this.#onSeen()
        return
      case 'alive':
        if (known !== undefined && known.peer.version === told.version) known.expiresAt = this.#expiry()
        else this.#reply(told.instance, { type: 'ask', instance: this.#options.self().instance })
    }
  }

  #announced(message: SignedAnnouncement, sender: string | undefined): void {
    const { self, check, clock, logger } = this.#options
    const announcement = readAnnouncement(message)
    if (announcement === undefined) {
      logger.warn('an announcement cannot be read', { sender })
      return
    }
    const { instance, version } = announcement
    if (instance === self().instance) return
    const known = this.#known.get(instance)
    if (known === undefined || known.peer.version < version) {
      try {
        const { credential, listeners } = verifyAnnouncement(message, announcement, check, clock.now())
        // Where the bus below knows who speaks, nobody can pass on the announcement of another.
        if (sender !== undefined && sender !== credential.identity.name)
          throw new CloudError('core.bus.bad-signature', `${sender} announces ${credential.identity.name}`)
        if (!this.#take({ ...announcement, places: placesOf(announcement), credential, listeners }, known)) return
      } catch (error) {
        logger.warn('an announcement was not believed', { sender, instance, error: CloudError.from(error) })
        return
      }
    }
    this.#reply(instance, { type: 'seen', instance: self().instance, version })
    if (message.ask && this.#current !== undefined) this.#reply(instance, this.#current)
  }

  /** @returns false when the instance is gone or found no place. */
  #take(peer: DiscoveredPeer & { readonly leaving: boolean }, known: Known | undefined): boolean {
    const { limits, clock, logger } = this.#options
    if (peer.leaving) {
      this.#remove(peer.instance)
      return false
    }
    if (known === undefined && this.#known.size >= limits.maxPeers) {
      if (this.#crowdedUntil === 0) logger.warn('more instances than can be known: calls take the hub', { ...limits })
      this.#crowdedUntil = clock.monotonic() + 3 * limits.refreshMs
      return false
    }
    if (known === undefined) this.#known.set(peer.instance, { peer, seen: 0, expiresAt: this.#expiry() })
    else {
      known.peer = peer
      known.expiresAt = this.#expiry()
    }
    this.#options.onPeer(peer)
    return true
  }

  #expiry(): number {
    return this.#options.clock.monotonic() + 3 * this.#options.limits.refreshMs
  }

  #reply(instance: string, message: DiscoveryMessage): void {
    this.#send(`to.${instance}`, message).catch(error => this.#note('a discovery answer was not sent', error))
  }

  #send(place: string, message: DiscoveryMessage): Promise<void> {
    return this.#options.below.publish(`${this.#options.subject}.${place}`, encodeDiscovery(message))
  }

  #note(text: string, error: unknown): void {
    if (!CloudError.is(error, 'core.kernel.stopped')) this.#options.logger.debug(text, { error })
  }
}

function placesOf({ socketPath, tcp }: Announcement): DirectPlaces {
  return { ...(socketPath === undefined ? {} : { socketPath }), ...(tcp === undefined ? {} : { tcp }) }
}
