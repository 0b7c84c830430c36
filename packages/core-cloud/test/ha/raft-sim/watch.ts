import type { AppendWork, ApplyWork, Message } from '@aaas/core-cloud/ha'
import type { SimNode } from './sim-node.js'

/** Told of everything that happens in a simulated group, in order. */
export interface Watch {
  /** Before it happens. */
  applying(node: SimNode, work: ApplyWork): void
  sending(node: SimNode, message: Message): void
  life(node: SimNode, what: 'start' | 'crash' | 'pause'): void
  /** When it has happened. */
  applied(node: SimNode, index: number): void
  /** @param lastBefore - where the log on the disk ended before. */
  wrote(node: SimNode, work: AppendWork, lastBefore: number): void
  stepped(node: SimNode): void
  /** Of the world around: faults, calls of clients. */
  event(what: string, facts: object): void
  /** Something that must not be. */
  flaw(text: string): void
}
