import type { HaNetwork } from './network.js'
import type { NodeId } from './raft/types.js'

export interface NetworkFixture extends AsyncDisposable {
  /** The network of a node that knows nobody yet; opened again after `close`, it may have another address. */
  open(node: NodeId): Promise<HaNetwork>
  /** Lets a little time pass: ten milliseconds at most. */
  pause(): Promise<void>
  /** What the networks were opened with, at least 1 MiB and at most 8 MiB. */
  readonly maxQueuedBytes: number
}

export type NetworkTest = (name: string, fn: () => Promise<void>) => unknown

export interface NetworkWorld {
  readonly fixture: NetworkFixture
  readonly near: HaNetwork
  readonly far: HaNetwork
  /** Peer events of both. */
  readonly events: { readonly near: string[]; readonly far: string[] }
  until(what: string, condition: () => boolean): Promise<void>
}

export type OnNetworks = (name: string, body: (world: NetworkWorld) => Promise<void>) => void
