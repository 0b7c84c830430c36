import { CloudError } from '@aaas/core-cloud/kernel'

/** A pool as the budget sees it. */
export interface BudgetMember {
  /** Connections it has, those being opened included. */
  readonly open: number
  /** Closes its longest idle connection; false when it has none. Gives nothing back: the caller takes the place. */
  dropIdle(): boolean
  /** A place is free for it. @returns false when it has no use for it any more. */
  grant(): boolean
  /** True while callers wait for more connections than it has, and it may have more. */
  readonly wants: boolean
}

/** Connections that all databases of a process may have together. Make one and give it to each `pgDatabase`. */
export interface ConnectionBudget {
  readonly max: number
  stats(): { readonly open: number; readonly waitingDatabases: number }
  /** Used by the pools. */
  readonly places: BudgetPlaces
}

interface BudgetPlaces {
  join(member: BudgetMember): void
  leave(member: BudgetMember): void
  /** Takes a place, if need be that of another one's idle connection; false: it stands in line now. */
  take(member: BudgetMember): boolean
  give(): void
  /**
   * Whether a connection that came free should make room for another database that waits: when nobody needs it here,
   * when the member has more than its share, and after a turn of {@link turnMs} when there are fewer places than
   * databases that want one.
   */
  shouldYield(member: BudgetMember, at: { readonly heldMs: number; readonly needed: boolean }): boolean
}

/** Milliseconds that a database keeps its only place while others have none. */
const turnMs = 100

/**
 * Shares connections among the databases of a process: first come, first served while there are enough; then each that
 * wants some gets the same share, in turn, and idle connections of others are closed for it.
 * @param options.max - 1 to 10_000; keep it well below the server's `max_connections`.
 */
export function connectionBudget(options: { readonly max: number }): ConnectionBudget {
  const { max } = options
  if (!Number.isInteger(max) || max < 1 || max > 10_000) {
    throw new CloudError('core.kernel.invalid-config', 'max must be a whole number from 1 to 10000', { field: 'max' })
  }
  const members = new Set<BudgetMember>()
  /** In the order in which they came. */
  const line = new Set<BudgetMember>()
  let open = 0
  const give = (): void => {
    open -= 1
    for (const member of line) {
      line.delete(member)
      if (!member.grant()) continue
      open += 1
      // Behind the others: one place a turn.
      if (member.wants) line.add(member)
      return
    }
  }
  const share = (): number => max / Math.max(1, [...members].filter(one => one.open > 0 || line.has(one)).length)
  return {
    max,
    stats: () => ({ open, waitingDatabases: line.size }),
    places: {
      join: member => void members.add(member),
      leave(member) {
        members.delete(member)
        line.delete(member)
      },
      take(member) {
        if (open < max) {
          open += 1
          return true
        }
        for (const other of members) if (other !== member && other.dropIdle()) return true
        line.add(member)
        return false
      },
      give,
      shouldYield(member, { heldMs, needed }) {
        if (line.size === 0 || (line.size === 1 && line.has(member))) return false
        if (!needed) return true
        const fair = share()
        return member.open > Math.max(1, Math.floor(fair)) || (fair < 1 && heldMs >= turnMs)
      },
    },
  }
}
