import type { NodeId } from '../raft/types.js'
import type { MemberNews } from './swim-types.js'

/** News waiting to be told, the least told first. One per node: the newest. So it is as long as the table at most. */
export class NewsQueue {
  readonly #waiting = new Map<NodeId, { readonly news: MemberNews; told: number }>()

  add(news: MemberNews): void {
    this.#waiting.set(news.node, { news, told: 0 })
  }

  forget(node: NodeId): void {
    this.#waiting.delete(node)
  }

  /** @param times - how often each is told before it is dropped. */
  take(count: number, times: number, except: NodeId | undefined): MemberNews[] {
    const chosen = [...this.#waiting.values()]
      .filter(({ news }) => news.node !== except)
      .sort((a, b) => a.told - b.told)
      .slice(0, count)
    for (const entry of chosen) {
      entry.told += 1
      if (entry.told >= times) this.#waiting.delete(entry.news.node)
    }
    return chosen.map(({ news }) => news)
  }
}
