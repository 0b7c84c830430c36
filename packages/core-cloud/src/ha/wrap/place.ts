import type { Bus } from '@aaas/core-cloud/bus'
import type { CallerSigner, CallerVerifier, CallObserver, StreamLimits } from '@aaas/core-cloud/contract'
import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'

/** What all wrapped services of a program share. */
export interface WrapPlace {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** First tokens of the subjects of all wrapped services. */
  readonly prefix: string
  readonly bus?: Bus
  readonly zone?: string
  readonly observer?: CallObserver
  readonly signer?: CallerSigner
  readonly verifier?: CallerVerifier
  readonly streams?: StreamLimits
}
