import type { ApplyWork, Entry, Message } from '@aaas/core-cloud/ha'
import type { SimNode } from './sim-node.js'
import type { Watch } from './watch.js'

/**
 * Tells what happens, a line each, to whoever wants to read a run:
 * `  812.406 n2 leader t5 | sends n3 append 12..14 (t5) behind 11 (t4), commit 10`.
 */
export function traced(watch: Watch, now: () => number, write: (line: string) => void): Watch {
  const roles = new Map<number, string>()
  const line = (who: string, what: string): void => write(`${now().toFixed(3).padStart(9)} ${who} | ${what}`)
  const say = (node: SimNode, what: string): void => {
    const { role, term } = node.raft?.status ?? { role: 'down', term: node.disk.hardState.term }
    line(`n${node.id} ${role} t${term}`, what)
  }
  return {
    applying(node, work) {
      say(node, `applies ${applied(work)}`)
      watch.applying(node, work)
    },
    applied: (node, index) => watch.applied(node, index),
    wrote(node, work, lastBefore) {
      const { hardState, entries, snapshot } = work
      const parts = [
        hardState === undefined ? '' : `term ${hardState.term}, vote ${hardState.vote}, commit ${hardState.commit}`,
        snapshot === undefined ? '' : `snapshot of ${snapshot.index}`,
        entries.length === 0 ? '' : span(entries),
      ]
      if (work.sync) say(node, `has on its disk: ${parts.filter(part => part !== '').join('; ')}`)
      watch.wrote(node, work, lastBefore)
    },
    sending(node, message) {
      if (message.to !== node.id) say(node, `sends n${message.to} ${told(message)}`)
      watch.sending(node, message)
    },
    stepped(node) {
      const { role, term, membership, committed } = node.raft?.status ?? {}
      const { voters, outgoing, learners } = membership ?? {}
      const is = JSON.stringify([role, term, voters, outgoing, learners])
      if (node.raft !== undefined && roles.get(node.id) !== is) {
        roles.set(node.id, is)
        const old = outgoing?.length === 0 ? '' : ` and of ${outgoing}`
        say(node, `is ${role} of ${voters}${old}, learners ${learners?.join() || 'none'}, committed ${committed}`)
      }
      watch.stepped(node)
    },
    life(node, what) {
      say(node, `${what.toUpperCase()}: its disk ends at ${node.disk.last}`)
      watch.life(node, what)
    },
    event(what, facts) {
      line('world', `${what} ${JSON.stringify(facts)}`)
      watch.event(what, facts)
    },
    flaw(text) {
      line('FLAW', text)
      watch.flaw(text)
    },
  }
}

function applied({ snapshot, entries }: ApplyWork): string {
  return snapshot === undefined ? span(entries) : `the snapshot of ${snapshot.index} (t${snapshot.term})`
}

/** `12..14 (t5), 15 membership (t5)`. */
function span(entries: readonly Entry[]): string {
  const runs: { first: number; last: number; term: number; kind: string }[] = []
  for (const { index, term, kind } of entries) {
    const run = runs.at(-1)
    if (run !== undefined && run.term === term && run.kind === kind) run.last = index
    else runs.push({ first: index, last: index, term, kind })
  }
  return runs
    .map(({ first, last, term, kind }) => {
      const what = kind === 'command' ? '' : ` ${kind}`
      return `${first === last ? first : `${first}..${last}`}${what} (t${term})`
    })
    .join(', ')
}

function told(message: Message): string {
  const { type } = message
  if (type === 'append') {
    const { entries, prevIndex, prevTerm, commit } = message
    const what = entries.length === 0 ? 'nothing' : span(entries)
    return `append ${what} behind ${prevIndex} (t${prevTerm}), commit ${commit}`
  }
  if (type === 'snapshot') return `the snapshot of ${message.snapshot.index} (t${message.snapshot.term})`
  const { from: _from, to: _to, type: _type, term, ...rest } = message
  return `${type} t${term} ${JSON.stringify(rest)}`
}
