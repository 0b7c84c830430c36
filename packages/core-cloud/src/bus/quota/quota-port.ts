import { CloudError } from '../../kernel/errors.js'
import { IdTable } from '../id-table.js'
import type { PeerLink } from '../link.js'
import type { Router, RouterPort } from '../router.js'
import type { BusQuota } from './quota-limits.js'

interface Call {
  readonly many: boolean
}
const oneAnswer: Call = { many: false }
const manyAnswers: Call = { many: true }

/**
 * Attaches a peer to the hub with its tenant's quota in between: what is over it never reaches the router, and the peer
 * is told at once. Without a quota the peer is attached as it is.
 */
export function attachWithQuota(
  router: Router,
  peer: Parameters<Router['attach']>[0],
  quota: BusQuota | undefined,
): RouterPort {
  return quota === undefined ? router.attach(peer) : new QuotaPort(quota, peer.out).attach(router, peer)
}

class QuotaPort {
  readonly #quota: BusQuota
  readonly #out: PeerLink
  /** Calls of the peer under way, by its ids. */
  readonly #calls = new IdTable<Call>()
  readonly #subscriptions = new Set<number>()
  /** The router answers while it is asked: this says what. */
  #refusedNow = false

  constructor(quota: BusQuota, out: PeerLink) {
    this.#quota = quota
    this.#out = out
  }

  attach(router: Router, peer: Parameters<Router['attach']>[0]): RouterPort {
    const port = router.attach({ ...peer, out: this.#counting() })
    const quota = this.#quota
    return {
      ...port,
      publish: (id, subject, headers, payload) => {
        if (this.#admit(id, () => quota.send(headers.length + payload.length)))
          port.publish(id, subject, headers, payload)
      },
      request: (id, deadline, subject, headers, payload, many) => {
        if (this.#calls.get(id) !== undefined) {
          this.#out.failed(id, 'core.bus.refused', `the id ${id} is in use`)
          return
        }
        if (!this.#admit(id, () => quota.begin(headers.length + payload.length))) return
        if (!this.#calls.put(id, many ? manyAnswers : oneAnswer)) quota.end()
        port.request(id, deadline, subject, headers, payload, many)
      },
      cancel: id => {
        this.#ended(id)
        port.cancel(id)
      },
      subscribe: (id, subscription, pattern, queue) => {
        if (!this.#admit(id, () => quota.subscribe())) return
        this.#refusedNow = false
        port.subscribe(id, subscription, pattern, queue)
        if (this.#refusedNow) quota.unsubscribe()
        else this.#subscriptions.add(subscription)
      },
      unsubscribe: (id, subscription) => {
        if (this.#subscriptions.delete(subscription)) quota.unsubscribe()
        port.unsubscribe(id, subscription)
      },
      detach: () => {
        port.detach()
        quota.close()
      },
    }
  }

  #counting(): PeerLink {
    const out = this.#out
    return {
      accepted: id => {
        this.#ended(id)
        out.accepted(id)
      },
      answered: (id, sender, headers, payload) => {
        this.#quota.received(headers.length + payload.length)
        if (this.#calls.get(id)?.many === false) this.#ended(id)
        out.answered(id, sender, headers, payload)
      },
      failed: (id, code, text, retryAfterMs) => {
        this.#refusedNow = true
        this.#ended(id)
        out.failed(id, code, text, retryAfterMs)
      },
      deliver: (subscription, delivery, deadline, sender, subject, headers, payload) => {
        this.#quota.received(headers.length + payload.length)
        out.deliver(subscription, delivery, deadline, sender, subject, headers, payload)
      },
      cancelled: (delivery, code) => out.cancelled(delivery, code),
    }
  }

  #ended(id: number): void {
    if (this.#calls.take(id) !== undefined) this.#quota.end()
  }

  /** @returns false when it is over the quota, and the peer knows. */
  #admit(id: number, use: () => void): boolean {
    try {
      use()
      return true
    } catch (error) {
      const { code, message } = CloudError.from(error)
      this.#out.failed(id, code, message, retryAfterOf(error))
      return false
    }
  }
}

/** The time of a refusal that has one; undefined otherwise. */
export function retryAfterOf(error: unknown): number | undefined {
  const after = CloudError.is(error) ? error.details?.retryAfterMs : undefined
  return typeof after === 'number' ? after : undefined
}
