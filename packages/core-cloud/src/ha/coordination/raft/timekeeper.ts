import type { Clock } from '../../../kernel/clock.js'
import type { Logger } from '../../../kernel/logger.js'
import type { Replica } from '../../replica.js'
import { type CoordinationCommand, CoordinationMachine } from './coordination-machine.js'
import { packet } from './packet.js'

/** Lets logical time go on while this node leads the group: see `LogicalTime`. */
export class Timekeeper {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #replica: Replica
  readonly #machine: CoordinationMachine
  readonly #everyMs: number
  readonly #unlisten: () => void
  /** Index of our `begin-time`, and when it was seen to be applied. */
  #epoch: { readonly index: number; readonly startedAt: number } | undefined
  #busy = false
  #cancel: () => void = () => undefined
  #closed = false

  constructor(options: {
    readonly clock: Clock
    readonly logger: Logger
    readonly replica: Replica
    readonly machine: CoordinationMachine
    readonly everyMs: number
  }) {
    this.#clock = options.clock
    this.#logger = options.logger
    this.#replica = options.replica
    this.#machine = options.machine
    this.#everyMs = options.everyMs
    this.#unlisten = this.#replica.onStatus(() => {
      if (!this.#leads) this.#epoch = undefined
      else if (this.#epoch === undefined) void this.#step()
    })
    this.#later()
  }

  close(): void {
    this.#closed = true
    this.#unlisten()
    this.#cancel()
  }

  get #leads(): boolean {
    return this.#replica.status.role === 'leader'
  }

  #later(): void {
    this.#cancel()
    if (!this.#closed)
      this.#cancel = this.#clock.after(this.#everyMs, () => void this.#step().finally(() => this.#later()))
  }

  async #step(): Promise<void> {
    if (this.#closed || this.#busy || !this.#leads || !this.#machine.timed) return
    this.#busy = true
    try {
      if (this.#epoch === undefined) {
        const index = (await this.#propose(['begin-time'])) as number
        // Not before the command was applied: what was granted before it has had all of this time for itself.
        this.#epoch = { index, startedAt: this.#clock.monotonic() }
      } else {
        const { index, startedAt } = this.#epoch
        const elapsedMs = Math.floor(this.#clock.monotonic() - startedAt)
        const counts = await this.#propose(['time', index, elapsedMs, this.#machine.applied])
        if (counts === false && this.#epoch?.index === index) this.#epoch = undefined
      }
    } catch (error) {
      this.#logger.debug('time did not go on', { error })
    } finally {
      this.#busy = false
    }
  }

  async #propose(command: CoordinationCommand): Promise<unknown> {
    const deadline = this.#clock.now() + Math.max(1_000, 4 * this.#everyMs)
    const { result } = await this.#replica.propose(packet(command), { deadline })
    return CoordinationMachine.result(result)
  }
}
