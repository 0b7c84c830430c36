// A group of Raft members that does nothing by itself: every tick, delivery and write to a disk is a line of a script, and
// what it brings about is written below it. See `transcripts/README.md`.
import {
  type AppendWork,
  type ApplyWork,
  type Entry,
  initialMembership,
  type MemberChange,
  type Membership,
  type Message,
  Raft,
  type Recovered,
  type SnapshotMark,
} from '@aaas/core-cloud/ha'

interface Member {
  raft: Raft
  durable: Recovered
  readonly disk: AppendWork[]
  held: boolean
}

type Options = Record<string, number | boolean | string>

export class Transcript {
  readonly #members = new Map<number, Member>()
  #flight: Message[] = []
  readonly #down = new Set<number>()
  #options: Options = {}
  #lines: string[] = []

  /** Runs one command. @returns the lines it brought about. */
  run(line: string): readonly string[] {
    this.#lines = []
    const [command = '', ...words] = line.trim().split(/\s+/)
    const action = this.#commands[command]
    if (action === undefined) throw new Error(`unknown command ${command}`)
    action(words)
    return this.#lines
  }

  readonly #commands: Readonly<Record<string, (words: readonly string[]) => void>> = {
    group: words => this.#group(words),
    join: words => {
      const [node, ...rest] = words
      this.#start(Number(node), membershipOf(rest))
    },
    // An election that is not what the script is about.
    elect: ([node]) => {
      this.#at(node).raft.campaign()
      this.#settle([])
      this.#lines = []
    },
    campaign: ([node]) => this.#at(node).raft.campaign(),
    tick: ([node, count = '1']) => {
      for (let tick = 0; tick < Number(count); tick++) this.#at(node).raft.tick()
    },
    'tick-heartbeat': ([node]) => this.#at(node).raft.tick(),
    'tick-election': ([node]) => {
      // Past the longest timeout, for members that hear of nobody.
      const { raft } = this.#at(node)
      for (let tick = 0; tick < 20; tick++) raft.tick()
    },
    propose: ([node, ...texts]) => {
      const proposals = texts.map(text => ({ kind: 'command' as const, data: Buffer.from(text) }))
      this.#say(this.#at(node).raft.propose(proposals))
    },
    change: ([node, ...words]) => this.#change(this.#at(node).raft, words),
    transfer: ([node, target]) => this.#refused(this.#at(node).raft.transfer(Number(target))),
    forget: ([node]) => {
      if (!this.#at(node).raft.forgetLeader()) this.#lines.push('refused')
    },
    read: ([node, read]) => this.#refused(this.#at(node).raft.read(Number(read))),
    unreachable: ([node, other]) => this.#at(node).raft.unreachable(Number(other)),
    'snapshot-sent': ([node, other, how]) => this.#at(node).raft.snapshotSent(Number(other), how !== 'failed'),
    compact: ([node, keep = '0']) => {
      const { raft } = this.#at(node)
      raft.compact(raft.mark, Number(keep))
      this.#lines.push(`${node}: snapshot ${raft.mark.index}/${raft.mark.term}`)
    },
    hold: ([node]) => {
      this.#at(node).held = true
    },
    disk: ([node, count = '1000']) => {
      const member = this.#at(node)
      for (let work = 0; work < Number(count) && member.disk.length > 0; work++) this.#write(Number(node), member)
    },
    release: ([node]) => {
      this.#at(node).held = false
    },
    down: words => {
      for (const node of words) this.#down.add(Number(node))
    },
    up: words => {
      for (const node of words) this.#down.delete(Number(node))
    },
    restart: ([node]) => this.#restart(Number(node)),
    drop: ([to, type]) => {
      this.#flight = this.#flight.filter(one => one.to !== Number(to) || (type !== undefined && one.type !== type))
    },
    ready: ([node]) => this.#ready(Number(node)),
    deliver: ([to, type]) => this.#deliver(Number(to), type),
    settle: words => this.#settle(words.map(Number)),
    status: words => {
      for (const node of words.length > 0 ? words : [...this.#members.keys()]) this.#status(Number(node))
    },
    log: ([node]) => {
      const { raft } = this.#at(node)
      const { offset, entries } = raft.logSize
      const texts = Array.from({ length: entries }, (_, place) => entryText(raft.entry(offset + 1 + place) as Entry))
      this.#lines.push(`${node}: (${offset}) ${texts.join(' ')}`)
    },
    progress: ([node]) => {
      for (const [id, one] of this.#at(node).raft.status.progress) {
        const flags = `${one.paused ? ' paused' : ''}${one.inflight > 0 ? ` inflight ${one.inflight}` : ''}`
        this.#lines.push(`${id}: ${one.state} match ${one.match} next ${one.next}${flags}`)
      }
    },
  }

  // ---- commands

  #group(words: readonly string[]): void {
    const options = words.filter(word => word.includes('='))
    this.#options = Object.fromEntries(options.map(word => word.split('=') as [string, string]).map(parsedOption))
    const membership = membershipOf(words.filter(word => !word.includes('=')))
    for (const node of [...membership.voters, ...membership.learners]) this.#start(node, membership)
  }

  #start(node: number, membership: Membership): void {
    const hardState = { term: 0, vote: 0, commit: 0 }
    const durable = { hardState, snapshot: { index: 0, term: 0, membership }, entries: [] }
    this.#members.set(node, { raft: this.#core(node, durable), durable, disk: [], held: false })
  }

  #core(node: number, durable: Recovered): Raft {
    const { snapshot, entries, hardState } = durable
    const commit = Math.min(hardState.commit, snapshot.index + entries.length)
    return new Raft({ id: node, seed: 7, ...this.#options }, { ...durable, hardState: { ...hardState, commit } })
  }

  #restart(node: number): void {
    const member = this.#at(String(node))
    member.disk.length = 0
    member.raft = this.#core(node, member.durable)
    this.#flight = this.#flight.filter(({ to }) => to !== node)
  }

  #change(raft: Raft, words: readonly string[]): void {
    const kinds = { '+': 'add-voter', w: 'add-witness', l: 'add-learner', '-': 'remove' } as const
    const named = words.filter(word => /^[+wl-]\d+$/.test(word))
    const changes: MemberChange[] = named.map(word => ({
      kind: kinds[word[0] as keyof typeof kinds],
      node: Number(word.slice(1)),
    }))
    const transition = words.find(word => word === 'implicit' || word === 'explicit') ?? 'auto'
    this.#say(raft.proposeMembership({ changes, transition: transition as 'auto' | 'implicit' | 'explicit' }))
  }

  // ---- the world

  #at(node: string | undefined): Member {
    const member = this.#members.get(Number(node))
    if (member === undefined) throw new Error(`no member ${node}`)
    return member
  }

  /** Takes what a member wants done. @returns whether it wanted anything. */
  #ready(node: number): boolean {
    const member = this.#at(String(node))
    const { send, append, apply, reads } = member.raft.ready()
    for (const message of send) this.#send(message)
    for (const { read, index } of reads) this.#lines.push(`${node}: read ${read} at ${index}`)
    if (append !== undefined) {
      member.disk.push(append)
      if (member.held) this.#lines.push(`${node}: to the disk ${workText(append)}`)
    }
    if (apply !== undefined) this.#apply(node, member, apply)
    let wrote = false
    while (!member.held && member.disk.length > 0) {
      this.#write(node, member)
      wrote = true
    }
    return wrote || send.length > 0 || reads.length > 0 || apply !== undefined
  }

  #write(node: number, member: Member): void {
    const work = member.disk.shift() as AppendWork
    const { hardState, snapshot, entries } = work
    if (hardState !== undefined || snapshot !== undefined || entries.length > 0) {
      this.#lines.push(`${node}: on the disk ${workText(work)}`)
    }
    let { durable } = member
    if (hardState !== undefined) durable = { ...durable, hardState }
    if (snapshot !== undefined) durable = { ...durable, snapshot, entries: [] }
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY
    member.durable = { ...durable, entries: [...durable.entries.filter(({ index }) => index < first), ...entries] }
    for (const message of work.after) this.#send(message)
    member.raft.appended(work)
  }

  #apply(node: number, member: Member, { snapshot, entries }: ApplyWork): void {
    if (snapshot !== undefined) this.#lines.push(`${node}: loads ${markText(snapshot)}`)
    if (entries.length > 0) this.#lines.push(`${node}: applies ${entries.map(entryText).join(' ')}`)
    const before = JSON.stringify(member.raft.status.membership)
    member.raft.applied(snapshot?.index ?? (entries.at(-1) as Entry).index)
    const { membership } = member.raft.status
    if (snapshot === undefined && JSON.stringify(membership) !== before) {
      this.#lines.push(`${node}: members ${membershipText(membership)}`)
    }
  }

  #send(message: Message): void {
    if (message.to === message.from) return
    this.#lines.push(messageText(message))
    this.#flight.push(message)
  }

  #deliver(to: number, type?: string): boolean {
    const arriving = this.#flight.filter(one => one.to === to && (type === undefined || one.type === type))
    this.#flight = this.#flight.filter(one => !arriving.includes(one))
    const member = this.#members.get(to)
    if (member === undefined || this.#down.has(to)) return false
    for (const message of arriving) {
      const before = member.raft.status
      member.raft.step(message)
      this.#changed(to, before)
    }
    return arriving.length > 0
  }

  #changed(node: number, before: Raft['status']): void {
    const { role, term } = this.#at(String(node)).raft.status
    if (role !== before.role || term !== before.term) this.#lines.push(`${node}: ${role} of term ${term}`)
  }

  /** Everything that can happen among these members (default: all) happens. */
  #settle(nodes: readonly number[]): void {
    const among = (nodes.length > 0 ? nodes : [...this.#members.keys()]).filter(node => !this.#down.has(node))
    for (let round = 0; round < 200; round++) {
      let busy = false
      for (const node of among) {
        const before = this.#at(String(node)).raft.status
        busy = this.#ready(node) || busy
        this.#changed(node, before)
      }
      for (const node of among) busy = this.#deliver(node) || busy
      if (!busy) return
    }
    throw new Error('the group does not settle')
  }

  // ---- words

  #say(outcome: ReturnType<Raft['propose']>): void {
    this.#lines.push(typeof outcome === 'string' ? `refused: ${outcome}` : `entry ${outcome.index}/${outcome.term}`)
  }

  #refused(reason: string | undefined): void {
    if (reason !== undefined) this.#lines.push(`refused: ${reason}`)
  }

  #status(node: number): void {
    const { role, term, vote, leader, committed, lastIndex } = this.#at(String(node)).raft.status
    this.#lines.push(
      `${node}: ${role} of term ${term}, voted ${vote || '-'}, leader ${leader || '-'}, committed ${committed} of ${lastIndex}`,
    )
  }
}

function parsedOption([name, value]: [string, string]): [string, number | boolean | string] {
  if (value === 'true' || value === 'false') return [name, value === 'true']
  return [name, Number.isNaN(Number(value)) ? value : Number(value)]
}

/** `1 2 3 l4 w5`. */
function membershipOf(words: readonly string[]): Membership {
  const of = (prefix: RegExp): number[] =>
    words.filter(word => prefix.test(word)).map(word => Number(word.replace(/\D/g, '')))
  return initialMembership({ voters: of(/^\d/), learners: of(/^l/), witnesses: of(/^w/) })
}

function messageText(message: Message): string {
  const head = `${message.from}->${message.to} ${message.type}${message.term > 0 ? ` t${message.term}` : ''}`
  switch (message.type) {
    case 'vote':
    case 'pre-vote':
      return `${head} log ${message.lastIndex}/${message.lastTerm}${message.force ? ' forced' : ''}`
    case 'vote-reply':
    case 'pre-vote-reply':
      return `${head} ${message.granted ? 'yes' : 'no'}`
    case 'append':
      return `${head} behind ${message.prevIndex}/${message.prevTerm} [${message.entries.map(entryText).join(' ')}] commit ${message.commit}`
    case 'append-reply':
      return `${head} ${message.rejected ? `no at ${message.index}, hint ${message.hintIndex}/${message.hintTerm}` : `has ${message.index}`}`
    case 'heartbeat':
      return `${head} commit ${message.commit} round ${message.round}`
    case 'heartbeat-reply':
      return `${head} round ${message.round}`
    case 'snapshot':
      return `${head} ${markText(message.snapshot)}`
    case 'read':
      return `${head} ${message.read}`
    case 'read-reply':
      return `${head} ${message.read} at ${message.index}`
    case 'transfer':
      return `${head} to ${message.target}`
    default:
      return head
  }
}

function entryText({ index, term, kind, data }: Entry): string {
  const text = kind === 'membership' ? changeText(data) : kind === 'noop' ? 'noop' : Buffer.from(data).toString()
  return `${index}/${term}:${text}`
}

function changeText(data: Uint8Array): string {
  const { changes, transition } = JSON.parse(Buffer.from(data).toString()) as {
    readonly changes: readonly MemberChange[]
    readonly transition: string
  }
  if (changes.length === 0) return 'leave'
  const signs = { 'add-voter': '+', 'add-witness': 'w', 'add-learner': 'l', remove: '-' } as const
  const texts = changes.map(({ kind, node }) => `${signs[kind]}${node}`).join('')
  return transition === 'auto' ? texts : `${texts}(${transition})`
}

function markText({ index, term, membership }: SnapshotMark): string {
  return `snapshot ${index}/${term} of ${membershipText(membership)}`
}

function membershipText({ voters, outgoing, learners, learnersNext, witnesses, autoLeave }: Membership): string {
  const parts = [`(${voters.join(' ')})`]
  if (outgoing.length > 0) parts.push(`and (${outgoing.join(' ')})`)
  if (learners.length > 0) parts.push(`learners (${learners.join(' ')})`)
  if (learnersNext.length > 0) parts.push(`next (${learnersNext.join(' ')})`)
  if (witnesses.length > 0) parts.push(`witnesses (${witnesses.join(' ')})`)
  if (autoLeave) parts.push('auto-leave')
  return parts.join(' ')
}

function workText({ hardState, snapshot, entries }: AppendWork): string {
  const parts = []
  if (hardState !== undefined) parts.push(`t${hardState.term} vote ${hardState.vote || '-'}`)
  if (snapshot !== undefined) parts.push(markText(snapshot))
  if (entries.length > 0) parts.push(entries.map(entryText).join(' '))
  return parts.join(', ') || 'nothing'
}
