import type { AppendWork } from '@aaas/core-cloud/ha'
import { type Machine, type RegisterState, registers } from './register.js'
import { SimNode } from './sim-node.js'

// Planted bugs outside of the core: a driver or a state machine that neglects one of its duties.

/** The disk answers for what it did not keep: one write in forty. */
export class LosesWrites extends SimNode {
  protected override persist(work: AppendWork): void {
    const lost = work.entries.length > 0 && work.snapshot === undefined && this.world.random() < 0.025
    super.persist(lost ? { ...work, hardState: undefined, entries: [] } : work)
  }
}

/** Terms and votes are never written. */
export class KeepsNoVotes extends SimNode {
  protected override persist(work: AppendWork): void {
    super.persist({ ...work, hardState: undefined })
  }
}

/** Answers leave while the disk still works. */
export class AnswersBeforeTheDisk extends SimNode {
  protected override accept(work: AppendWork): void {
    for (const message of work.after) this.send(message)
  }
}

/** After a stop of the process the core is told what waited, and that no time has passed. */
export class DoesNotTickAStop extends SimNode {
  protected override catchUp(waiting: readonly (() => void)[]): void {
    this.lastTick = this.world.simulation.now
    super.catchUp(waiting)
  }
}

/** What is written as the snapshot of one index is the state of a later one. */
export class SnapshotsChangeUnderWriter extends SimNode {
  protected override stateForSnapshot(): RegisterState {
    return this.state
  }
}

/** A read does not wait until the state has everything up to its index. */
export class ReadsTooEarly extends SimNode {
  protected override readable(): boolean {
    return true
  }
}

/** Who has done what is not in the snapshots: a repeated command has its effect again. */
export const forgetsSessions: Machine = {
  ...registers,
  copy: state => ({ ...registers.copy(state), sessions: {} }),
}

/** Tokens are counted, and the count is not in the snapshots. */
export function countsTokens(): Machine {
  const counts = new WeakMap<RegisterState, number>()
  return {
    ...registers,
    execute(state, command, index) {
      const count = (counts.get(state) ?? 0) + 1
      counts.set(state, count)
      return registers.execute(state, command, command.kind === 'take' ? count : index)
    },
  }
}
