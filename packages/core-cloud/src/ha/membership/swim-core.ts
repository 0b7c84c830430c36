import type { NodeId } from '../raft/types.js'
import { NewsQueue } from './news-queue.js'
import { completeSwimOptions, type SwimOptions } from './swim-options.js'
import type { MemberChanged, MemberHealth, MemberNews, SwimMessage, SwimOutput } from './swim-types.js'

interface Member {
  health: MemberHealth
  incarnation: number
  /** Tick of the last change. */
  since: number
  suspicion: Suspicion | undefined
}

interface Suspicion {
  /** Others that suspect it, too: each makes it shorter. */
  readonly confirmedBy: Set<NodeId>
  readonly wanted: number
  readonly shortest: number
  readonly longest: number
  readonly began: number
}

interface Probe {
  readonly target: NodeId
  readonly sequence: number
  askOthersAt: number
  endsAt: number
  answered: boolean
  /** Go-betweens that have said nothing, not even that they tried: undefined until they are asked. */
  silent: Set<NodeId> | undefined
  asked: number
}

/** A probe for somebody else. */
interface Errand {
  readonly asker: NodeId
  readonly theirs: number
  readonly sayNoAt: number
  readonly endsAt: number
  saidNo: boolean
}

/** Errands at once; more are not taken on. */
const maxErrands = 1_024
const rank = { alive: 0, suspect: 1, dead: 2 } as const

/**
 * Who is alive, by SWIM (Das, Gupta and Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
 * Membership Protocol", 2002) with the three changes of Lifeguard (Dadgar, Phillips and Currey, "Lifeguard: Local Health
 * Awareness for More Accurate Failure Detection", 2018): a node that gets no answers doubts itself first and slows down;
 * a suspicion that nobody shares lasts longer; a suspect is told so at the first occasion.
 *
 * Pure: no clock, no I/O. `tick` and `step` in, {@link Swim.take} out.
 */
export class Swim {
  readonly self: NodeId
  readonly #options: Required<SwimOptions>
  readonly #members = new Map<NodeId, Member>()
  readonly #news = new NewsQueue()
  readonly #errands = new Map<number, Errand>()
  #incarnation: number
  #now = 0
  #nextProbeAt = 1
  #probe: Probe | undefined
  /** Members in the order in which they are probed; drawn anew when it is used up. */
  #round: NodeId[] = []
  #rounds = 0
  #sequence = 0
  #doubt = 0
  #messages: { to: NodeId; message: SwimMessage }[] = []
  #changes: MemberChanged[] = []

  constructor(options: SwimOptions) {
    this.#options = completeSwimOptions(options)
    this.self = options.self
    this.#incarnation = options.incarnation
    this.#announce()
  }

  /** 0 when this node trusts itself, up to `maxDoubt`: by how much it has slowed down. */
  get doubt(): number {
    return this.#doubt
  }

  /** Everybody else, the dead of the last time included. */
  members(): { readonly node: NodeId; readonly health: MemberHealth; readonly incarnation: number }[] {
    return [...this.#members].map(([node, { health, incarnation }]) => ({ node, health, incarnation }))
  }

  healthOf(node: NodeId): MemberHealth | undefined {
    return this.#members.get(node)?.health
  }

  /** A node that should be there, or that there is a new connection to: it is asked soon. */
  join(node: NodeId): void {
    if (node === this.self) return
    if (!this.#members.has(node)) this.#admit(node, 0)
    else if (this.#round[0] !== node) this.#round = [node, ...this.#round.filter(other => other !== node)]
  }

  /** A node that is a member no more. */
  remove(node: NodeId): void {
    this.#members.delete(node)
    this.#news.forget(node)
    if (this.#probe?.target === node) this.#probe = undefined
  }

  /** Says good-bye to some members: they need not find out. */
  leave(): void {
    const news = { node: this.self, health: 'dead', incarnation: this.#incarnation, by: this.self } as const
    for (const to of this.#choose(this.#options.indirectProbes, undefined)) {
      this.#messages.push({ to, message: { type: 'ping', sequence: 0, target: to, news: [news] } })
    }
  }

  /** The process stood still: answers may wait unread, and others may have missed this node's. */
  stalled(): void {
    this.#doubtBy(1)
    const { probeTicks } = this.#options
    if (this.#probe === undefined || this.#probe.answered) return
    this.#probe.askOthersAt += probeTicks
    this.#probe.endsAt += probeTicks
  }

  tick(): void {
    this.#now += 1
    for (const [sequence, errand] of this.#errands) {
      if (this.#now >= errand.endsAt) this.#errands.delete(sequence)
      else if (this.#now >= errand.sayNoAt && !errand.saidNo) {
        errand.saidNo = true
        if (this.#options.selfAware) this.#send(errand.asker, { type: 'no-answer', sequence: errand.theirs, target: 0 })
      }
    }
    this.#tickProbe()
    for (const [node, member] of this.#members) {
      const { suspicion } = member
      if (suspicion !== undefined && this.#now >= suspicion.began + lasts(suspicion)) {
        this.#hear({ node, health: 'dead', incarnation: member.incarnation, by: this.self })
      } else if (member.health === 'dead' && this.#now - member.since > this.#options.rememberTicks) this.remove(node)
    }
  }

  step(from: NodeId, message: SwimMessage): void {
    if (from === this.self) return
    if (!this.#members.has(from) && !this.#admit(from, 0)) return
    // Who is not trusted to hear is not trusted to say who is silent.
    const trusted = this.#members.get(from)?.health === 'alive'
    for (const news of message.news) {
      if (trusted || news.health === 'alive' || news.node === from || news.node === this.self) this.#hear(news)
    }
    if (message.type === 'ping') {
      if (message.target !== this.self || message.sequence === 0) return
      this.#send(from, { type: 'ack', sequence: message.sequence, target: 0 })
    } else if (message.type === 'probe') this.#runErrand(from, message)
    else if (message.type === 'ack') this.#takeAck(message.sequence)
    else if (this.#probe?.sequence === message.sequence) this.#probe.silent?.delete(from)
  }

  /** What is to be sent, and what has changed since the last call. */
  take(): SwimOutput {
    const output = { messages: this.#messages, changes: this.#changes }
    this.#messages = []
    this.#changes = []
    return output
  }

  // ---- probing

  #tickProbe(): void {
    const probe = this.#probe
    if (probe !== undefined && !probe.answered) {
      if (this.#now >= probe.endsAt) {
        this.#probe = undefined
        this.#failed(probe)
      } else if (this.#now >= probe.askOthersAt && probe.silent === undefined) {
        probe.silent = new Set(this.#choose(this.#options.indirectProbes, probe.target))
        probe.asked = probe.silent.size
        for (const to of probe.silent) {
          this.#send(to, { type: 'probe', sequence: probe.sequence, target: probe.target })
        }
      }
    }
    if (this.#now >= this.#nextProbeAt) this.#beginProbe()
  }

  #failed({ target, asked, silent }: Probe): void {
    const member = this.#members.get(target)
    if (member === undefined || member.health === 'dead') return
    // A go-between that did not even say that it tried is a sign that it is this node that hears nothing.
    this.#doubtBy(asked === 0 ? 1 : (silent?.size ?? 0))
    this.#hear({ node: target, health: 'suspect', incarnation: member.incarnation, by: this.self })
  }

  #beginProbe(): void {
    const { probeTicks, ackTicks } = this.#options
    const pace = 1 + this.#doubt
    this.#nextProbeAt = this.#now + probeTicks * pace
    if (this.#probe !== undefined && !this.#probe.answered) return
    const target = this.#nextTarget()
    if (target === undefined) return
    const sequence = this.#nextSequence()
    this.#probe = {
      target,
      sequence,
      askOthersAt: this.#now + ackTicks * pace,
      endsAt: this.#now + probeTicks * pace,
      answered: false,
      silent: undefined,
      asked: 0,
    }
    this.#send(target, { type: 'ping', sequence, target })
  }

  #nextTarget(): NodeId | undefined {
    for (;;) {
      const node = this.#round.shift()
      if (node === undefined) {
        this.#drawRound()
        if (this.#round.length === 0) return undefined
        continue
      }
      if (this.#members.has(node)) return node
    }
  }

  #drawRound(): void {
    this.#rounds += 1
    const living = [...this.#members].filter(([, { health }]) => health !== 'dead').map(([node]) => node)
    this.#round = shuffle(living, this.#options.random)
    // One of the dead in each round: after a partition somebody has to find the others again.
    const dead = [...this.#members].filter(([, { health }]) => health === 'dead').map(([node]) => node)
    const one = dead[Math.floor(this.#options.random() * dead.length)]
    if (one !== undefined) this.#round.push(one)
  }

  #takeAck(sequence: number): void {
    const errand = this.#errands.get(sequence)
    if (errand !== undefined) {
      this.#errands.delete(sequence)
      this.#send(errand.asker, { type: 'ack', sequence: errand.theirs, target: 0 })
    }
    if (this.#probe === undefined || this.#probe.sequence !== sequence || this.#probe.answered) return
    this.#probe.answered = true
    this.#doubtBy(-1)
  }

  #runErrand(asker: NodeId, { target, sequence: theirs }: SwimMessage): void {
    if (this.#errands.size >= maxErrands || target === this.self) return
    const { probeTicks, ackTicks } = this.#options
    const sequence = this.#nextSequence()
    const sayNoAt = this.#now + Math.max(1, Math.floor(0.8 * ackTicks))
    this.#errands.set(sequence, { asker, theirs, sayNoAt, endsAt: this.#now + probeTicks, saidNo: false })
    this.#send(target, { type: 'ping', sequence, target })
  }

  #nextSequence(): number {
    this.#sequence = this.#sequence >= 0xffff_ffff ? 1 : this.#sequence + 1
    return this.#sequence
  }

  /** Living members by chance. */
  #choose(count: number, except: NodeId | undefined): NodeId[] {
    const living = [...this.#members].filter(([node, { health }]) => health === 'alive' && node !== except)
    return shuffle(
      living.map(([node]) => node),
      this.#options.random,
    ).slice(0, count)
  }

  #doubtBy(change: number): void {
    const { maxDoubt, selfAware } = this.#options
    if (selfAware) this.#doubt = Math.min(maxDoubt, Math.max(0, this.#doubt + change))
  }

  // ---- news

  #admit(node: NodeId, incarnation: number): boolean {
    if (this.#members.size >= this.#options.maxMembers) return false
    this.#members.set(node, { health: 'alive', incarnation, since: this.#now, suspicion: undefined })
    this.#round.splice(Math.floor(this.#options.random() * (this.#round.length + 1)), 0, node)
    this.#changes.push({ node, health: 'alive' })
    return true
  }

  #hear(news: MemberNews): void {
    if (news.node === this.self) {
      this.#refute(news)
      return
    }
    const member = this.#members.get(news.node)
    if (member === undefined) {
      // The dead of others are not worth a place.
      if (news.health !== 'dead' && this.#admit(news.node, news.incarnation)) this.#news.add(news)
      return
    }
    if (news.incarnation < member.incarnation) return
    if (news.incarnation === member.incarnation && rank[news.health] <= rank[member.health]) {
      if (news.health === 'suspect' && member.health === 'suspect') this.#confirm(member, news)
      return
    }
    this.#change(member, this.#checked(member, news))
  }

  /** A death comes after a suspicion, so that whoever lives can say so; only who leaves may name itself dead. */
  #checked(member: Member, news: MemberNews): MemberNews {
    if (news.health !== 'dead' || news.by === news.node || member.health !== 'alive') return news
    return { ...news, health: 'suspect' }
  }

  #change(member: Member, news: MemberNews): void {
    const { node, health, incarnation } = news
    const changed = member.health !== health
    member.health = health
    member.incarnation = incarnation
    member.since = this.#now
    member.suspicion = health === 'suspect' ? this.#suspicion(news.by) : undefined
    this.#news.add(news)
    if (changed) this.#changes.push({ node, health })
    // Told at once, it can refute at once, and everybody who tells it hears that.
    if (health === 'suspect') this.#send(node, { type: 'ping', sequence: this.#nextSequence(), target: node })
  }

  /** Something bad is told about this node: it says the opposite, louder. */
  #refute({ health, incarnation }: MemberNews): void {
    if (health === 'alive') return
    if (incarnation >= this.#incarnation) {
      this.#incarnation = incarnation + 1
      this.#doubtBy(1)
    }
    this.#announce()
  }

  #announce(): void {
    this.#news.add({ node: this.self, health: 'alive', incarnation: this.#incarnation, by: this.self })
  }

  #suspicion(by: NodeId): Suspicion {
    const { suspicionFactor, loneSuspicionFactor, probeTicks, selfAware } = this.#options
    const size = this.#size()
    const shortest = suspicionFactor * Math.max(1, Math.log10(size)) * probeTicks
    const wanted = selfAware ? Math.max(0, Math.min(suspicionFactor - 2, size - 2)) : 0
    const longest = wanted === 0 ? shortest : shortest * loneSuspicionFactor
    return { confirmedBy: new Set([by]), wanted, shortest, longest, began: this.#now }
  }

  #confirm({ suspicion }: Member, news: MemberNews): void {
    if (suspicion === undefined || suspicion.confirmedBy.has(news.by)) return
    if (suspicion.confirmedBy.size > suspicion.wanted) return
    suspicion.confirmedBy.add(news.by)
    this.#news.add(news)
  }

  /** Nodes that are thought to be there, this one included. */
  #size(): number {
    let size = 1
    for (const { health } of this.#members.values()) if (health !== 'dead') size += 1
    return size
  }

  #send(to: NodeId, message: Omit<SwimMessage, 'news'>): void {
    const { maxNews, gossipFactor } = this.#options
    const times = Math.ceil(gossipFactor * Math.max(1, Math.log10(this.#size() + 1)))
    const member = this.#members.get(to)
    // Whoever is suspected hears it first, so that it can say no.
    const own: MemberNews[] =
      member === undefined || member.health === 'alive'
        ? []
        : [{ node: to, health: member.health, incarnation: member.incarnation, by: this.self }]
    const news = [...own, ...this.#news.take(maxNews - own.length, times, to)]
    this.#messages.push({ to, message: { ...message, news } })
  }
}

/** Ticks from the beginning of a suspicion to death: less with every other node that shares it. */
function lasts({ confirmedBy, wanted, shortest, longest }: Suspicion): number {
  if (wanted === 0) return shortest
  const shared = Math.log(confirmedBy.size) / Math.log(wanted + 1)
  return Math.max(shortest, longest - (longest - shortest) * shared)
}

function shuffle<T>(list: T[], random: () => number): T[] {
  for (let place = list.length - 1; place > 0; place--) {
    const other = Math.floor(random() * (place + 1))
    ;[list[place], list[other]] = [list[other] as T, list[place] as T]
  }
  return list
}
