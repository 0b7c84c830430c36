import { CloudError } from '../../kernel/errors.js'
import type { HaNode, NodeOptions } from './node-options.js'
import { RunningNode } from './running-node.js'

export type { GroupOptions, HaNode, NodeOptions } from './node-options.js'

/**
 * Starts a node on an opened storage and network.
 * @throws CloudError `core.ha.no-quorum` for a group of two voters; `core.ha.corrupt` for a snapshot that cannot be read.
 */
export async function openNode(options: NodeOptions): Promise<HaNode> {
  if (options.node !== options.network.self) {
    throw new CloudError(
      'core.ha.duplicate-node',
      `node ${options.node} on the network of node ${options.network.self}`,
    )
  }
  const node = new RunningNode(options)
  try {
    for (const group of options.groups) await node.open(group)
  } catch (error) {
    await node.close({ withinMs: 0 })
    throw error
  }
  return node
}
