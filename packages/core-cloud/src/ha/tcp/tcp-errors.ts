import { CloudError } from '../../kernel/errors.js'

/** Why a connection is not let in, as the byte that says so on the wire. */
export const refusalBytes = {
  'wrong-cluster': 1,
  'newer-version': 2,
  'duplicate-node': 3,
  'not-welcome': 4,
  'already-connected': 5,
  'other-node': 6,
} as const

export type TcpRefusal = keyof typeof refusalBytes

/** A connection was refused, by this side or the other. */
export class ConnectionRefused extends Error {
  override readonly name = 'ConnectionRefused'

  constructor(
    readonly refusal: TcpRefusal,
    readonly by: 'us' | 'them',
  ) {
    super(refusal)
  }
}

export function refusalOf(byte: number): TcpRefusal {
  const found = Object.entries(refusalBytes).find(([, code]) => code === byte)
  return (found?.[0] as TcpRefusal | undefined) ?? 'newer-version'
}

/** What a refusal is called outside; nothing for those that are part of connecting. */
export function namedRefusal({ refusal, by }: ConnectionRefused, peer: string): CloudError | undefined {
  const who = by === 'us' ? `${peer} was refused` : `${peer} refuses this node`
  switch (refusal) {
    case 'wrong-cluster':
      return new CloudError('core.ha.wrong-cluster', `${who}: its cluster key is another`)
    case 'newer-version':
      return new CloudError('core.ha.newer-version', `${who}: one of the two speaks a newer version`)
    case 'duplicate-node':
      return new CloudError('core.ha.duplicate-node', `${who}: another living node has the same id`)
    case 'other-node':
      return new CloudError('core.ha.duplicate-node', `${who}: the address belongs to a node of another id`)
    default:
      return undefined
  }
}

export function connectionEnded(cause?: unknown): CloudError {
  return new CloudError('core.ha.unavailable', 'the connection ended', cause === undefined ? {} : { cause })
}
