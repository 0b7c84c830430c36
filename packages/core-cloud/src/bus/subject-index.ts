interface Node<T> {
  readonly exact: Map<string, Node<T>>
  any: Node<T> | undefined
  /** Entries whose pattern ends here. */
  readonly here: Set<T>
  /** Entries whose pattern ends here with `>`. */
  readonly rest: Set<T>
}

const emptyNode = <T>(): Node<T> => ({ exact: new Map(), any: undefined, here: new Set(), rest: new Set() })

/** Finds the entries whose pattern matches a subject: a tree by token, so the cost depends on the subject's length. */
export class SubjectIndex<T> {
  readonly #root = emptyNode<T>()

  add(pattern: string, entry: T): void {
    let node = this.#root
    for (const token of pattern.split('.')) {
      if (token === '>') {
        node.rest.add(entry)
        return
      }
      node = token === '*' ? (node.any ??= emptyNode()) : child(node, token)
    }
    node.here.add(entry)
  }

  /** Removes the entry and every node that nothing hangs on any more. */
  remove(pattern: string, entry: T): void {
    this.#prune(this.#root, pattern.split('.'), 0, entry)
  }

  /** Every entry that matches, in no promised order. */
  match(subject: string): T[] {
    const found: T[] = []
    this.#collect(this.#root, subject.split('.'), 0, found)
    return found
  }

  #collect(node: Node<T>, tokens: readonly string[], depth: number, found: T[]): void {
    const token = tokens[depth]
    if (token === undefined) {
      for (const entry of node.here) found.push(entry)
      return
    }
    for (const entry of node.rest) found.push(entry)
    const next = node.exact.get(token)
    if (next !== undefined) this.#collect(next, tokens, depth + 1, found)
    if (node.any !== undefined) this.#collect(node.any, tokens, depth + 1, found)
  }

  /** @returns true when the node holds nothing any more. */
  #prune(node: Node<T>, tokens: readonly string[], depth: number, entry: T): boolean {
    const token = tokens[depth]
    if (token === undefined) node.here.delete(entry)
    else if (token === '>') node.rest.delete(entry)
    else if (token === '*') {
      if (node.any !== undefined && this.#prune(node.any, tokens, depth + 1, entry)) node.any = undefined
    } else {
      const next = node.exact.get(token)
      if (next !== undefined && this.#prune(next, tokens, depth + 1, entry)) node.exact.delete(token)
    }
    return node.here.size === 0 && node.rest.size === 0 && node.exact.size === 0 && node.any === undefined
  }
}

function child<T>(node: Node<T>, token: string): Node<T> {
  let next = node.exact.get(token)
  if (next === undefined) {
    next = emptyNode()
    node.exact.set(token, next)
  }
  return next
}
