import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { Candidacy, Lease } from '../coordination.js'

interface Means {
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  readonly lock: (signal: AbortSignal) => Promise<Lease>
  readonly ended: () => void
}

const shortestPauseMs = 100
const longestPauseMs = 10_000

/** Stands for election again and again. */
export function elect(
  means: Means,
  name: string,
  signal: AbortSignal | undefined,
  lead: (lease: Lease) => Promise<void>,
): Candidacy {
  const controller = new AbortController()
  const stop = (): void => controller.abort(new CloudError('core.ha.stopped', `no candidate for ${name} any more`))
  if (signal?.aborted === true) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  const term: { lease: Lease | undefined } = { lease: undefined }
  const ended = terms(means, name, controller.signal, term, lead).finally(() => {
    signal?.removeEventListener('abort', stop)
    means.ended()
  })
  const end = (): Promise<void> => {
    stop()
    return ended
  }
  return {
    get lease() {
      return term.lease
    },
    stop: end,
    [Symbol.asyncDispose]: end,
  }
}

async function terms(
  { clock, random, logger, lock }: Means,
  name: string,
  signal: AbortSignal,
  term: { lease: Lease | undefined },
  lead: (lease: Lease) => Promise<void>,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const lease = await lock(signal)
      await oneTerm(lease, signal, term, lead)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      logger.warn('a term of a leader failed', { name, error })
    }
    // Whoever has just led leaves the others the time to take over.
    const pause = Math.min(longestPauseMs, shortestPauseMs * 2 ** Math.min(failures, 10))
    await sleep(clock, pause * (0.5 + random() / 2), signal).catch(() => undefined)
  }
}

async function oneTerm(
  lease: Lease,
  signal: AbortSignal,
  term: { lease: Lease | undefined },
  lead: (lease: Lease) => Promise<void>,
): Promise<void> {
  // The lease itself stays until `lead` has ended; its signal alone says that it must.
  const view = signalled(lease, signal)
  term.lease = view
  try {
    await lead(view)
  } catch (error) {
    if (!view.signal.aborted) throw error
  } finally {
    term.lease = undefined
    await lease.release()
  }
}

/** The lease, with a signal that also fires when the candidate wants to stop. */
function signalled(lease: Lease, stop: AbortSignal): Lease {
  const signal = AbortSignal.any([lease.signal, stop])
  return {
    name: lease.name,
    token: lease.token,
    signal,
    get safeUntil() {
      return lease.safeUntil
    },
    assertHeld() {
      lease.assertHeld()
    },
    release: () => lease.release(),
    [Symbol.asyncDispose]: () => lease.release(),
  }
}
