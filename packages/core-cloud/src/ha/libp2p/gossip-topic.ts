import type { GossipSub, Message } from '@libp2p/gossipsub'
import type { Libp2p } from '@libp2p/interface'
import type { GossipTopic } from './topic.js'

/** Messages that wait to be signed; more are lost, as a topic may. */
const maxWaiting = 16_384

/** A topic of gossipsub. Signatures are checked before anything gets here (`StrictSign`). */
export function gossipTopic(node: Libp2p<{ gossip: GossipSub }>, name: string): GossipTopic {
  const { gossip } = node.services
  let handle: (from: string, data: Uint8Array) => void = () => undefined
  let joined: () => void = () => undefined
  const waiting: Uint8Array[] = []
  let working = false
  let left = false
  const onMessage = ({ detail }: CustomEvent<Message>): void => {
    if (detail.type === 'signed' && detail.topic === name) handle(detail.from.toString(), detail.data)
  }
  const onSubscription = (): void => joined()
  gossip.addEventListener('message', onMessage)
  gossip.addEventListener('subscription-change', onSubscription)
  gossip.subscribe(name)

  // One after the other: signing takes its time, and what is published together would overtake itself.
  const work = async (): Promise<void> => {
    working = true
    for (let data = waiting.shift(); data !== undefined; data = waiting.shift()) {
      await gossip.publish(name, data).catch(() => undefined)
    }
    working = false
  }
  return {
    self: node.peerId.toString(),
    publish(data) {
      if (left || waiting.length >= maxWaiting) return
      waiting.push(data)
      if (!working) void work()
    },
    onMessage(handler) {
      handle = handler
    },
    onJoin(handler) {
      joined = handler
    },
    leave() {
      if (left) return
      left = true
      gossip.removeEventListener('message', onMessage)
      gossip.removeEventListener('subscription-change', onSubscription)
      if (node.status === 'started') gossip.unsubscribe(name)
    },
  }
}
