import type { ApplyWork, Message } from '@aaas/core-cloud/ha'
import type { SimNode, World } from './sim-node.js'

/** Tells what happens, one line of JSON each, to whoever wants to see a run. */
export function traced(watch: World['watch'], write: (line: string) => void): World['watch'] {
  const roles = new Map<number, string>()
  const say = (node: SimNode, what: string, facts: object): void =>
    write(JSON.stringify({ at: Number(node.world.simulation.now.toFixed(3)), node: node.id, what, ...facts }))
  return {
    applying(node, work: ApplyWork) {
      const entries = work.entries.map(({ index, term, kind }) => `${index}/${term} ${kind}`)
      say(node, 'apply', work.snapshot === undefined ? { entries } : { snapshot: work.snapshot })
      watch.applying(node, work)
    },
    sending(node, message: Message) {
      const { from: _from, ...rest } = message
      const entries = 'entries' in message ? message.entries.length : undefined
      say(node, 'send', entries === undefined ? rest : { ...rest, entries })
      watch.sending(node, message)
    },
    stepped(node) {
      const { role, term, membership } = node.raft?.status ?? {}
      const now = JSON.stringify([role, term, membership])
      if (roles.get(node.id) !== now) {
        roles.set(node.id, now)
        say(node, 'is', { role, term, voters: membership?.voters, outgoing: membership?.outgoing })
      }
      watch.stepped(node)
    },
    life(node, what) {
      say(node, what, { term: node.raft?.status.term, lastIndex: node.raft?.status.lastIndex })
      watch.life(node, what)
    },
  }
}
