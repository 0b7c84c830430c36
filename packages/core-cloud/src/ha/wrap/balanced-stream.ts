import type { Items, StreamKind } from '@aaas/core-cloud/contract'
import type { CallOptions } from '@aaas/core-cloud/kernel'
import type { AttemptOutcome } from '../balance/endpoint.js'
import type { AnyCall } from './endpoints.js'
import { verdictOf } from './verdict.js'

/** One endpoint, chosen for a whole stream. */
interface StreamPlace {
  readonly at: AnyCall
  readonly ended: (outcome: AttemptOutcome) => void
}

type Choose = (input: unknown, call: CallOptions) => Promise<StreamPlace>

/** A call with streams stays where it began: it is neither repeated nor hedged. */
export function balancedStream(kind: StreamKind, choose: Choose): AnyCall {
  if (kind === 'out') return (input, call = {}) => items(choose, input, call as CallOptions, at => at(input, call))
  if (kind === 'both')
    return (input, given, call = {}) => items(choose, input, call as CallOptions, at => at(input, given, call))
  return async (input, given, call = {}) => {
    const place = await choose(input, call as CallOptions)
    let outcome: AttemptOutcome = 'cancelled'
    try {
      return await place.at(input, given as Items<unknown>, call)
    } catch (error) {
      outcome = outcomeOf(error)
      throw error
    } finally {
      place.ended(outcome)
    }
  }
}

async function* items(
  choose: Choose,
  input: unknown,
  call: CallOptions,
  open: (at: AnyCall) => unknown,
): AsyncGenerator<unknown, void> {
  const place = await choose(input, call)
  // How long a stream lasts, and whether it is left before its end, says nothing of the endpoint.
  let outcome: AttemptOutcome = 'cancelled'
  try {
    yield* open(place.at) as AsyncIterable<unknown>
  } catch (error) {
    outcome = outcomeOf(error)
    throw error
  } finally {
    place.ended(outcome)
  }
}

function outcomeOf(error: unknown): AttemptOutcome {
  const verdict = verdictOf(error)
  if (verdict === 'refused') return 'refused'
  return verdict === 'nothing-done' || verdict === 'unknown' ? 'failure' : 'cancelled'
}
