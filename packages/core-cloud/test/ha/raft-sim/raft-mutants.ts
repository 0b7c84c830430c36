// Bugs planted on purpose: each is a small edit of the compiled core. A simulation that does not find them proves little
// about the bugs that nobody planted.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  AnswersBeforeTheDisk,
  countsTokens,
  DoesNotTickAStop,
  forgetsSessions,
  KeepsNoVotes,
  LosesWrites,
  ReadsTooEarly,
  SnapshotsChangeUnderWriter,
} from './driver-mutants.js'
import type { RaftParts } from './raft-simulation.js'
import type { RaftClass } from './sim-node.js'

export interface Mutant {
  readonly name: string
  /** File of the core, what to replace in it (it must be there once), and by what. */
  readonly edits?: readonly (readonly [file: string, find: string, replace: string])[]
  /** A driver or a state machine with a bug. */
  readonly parts?: Partial<RaftParts>
}

export const raftMutants: readonly Mutant[] = [
  {
    name: 'votes twice in a term',
    edits: [['election.js', '(core.vote === 0 && core.leader === 0)', 'true']],
  },
  {
    name: 'forgets its vote in a crash',
    edits: [
      [
        'raft.js',
        'hardState: wrote ? hardState : undefined',
        'hardState: wrote ? { ...hardState, vote: 0 } : undefined',
      ],
    ],
  },
  {
    name: 'acknowledges before the disk has it',
    edits: [
      [
        'follower.js',
        'core.after.push({ ...answer(core, to), index, rejected: false',
        'core.send.push({ ...answer(core, to), index, rejected: false',
      ],
    ],
  },
  {
    name: 'asks for votes before its own is on the disk',
    edits: [['raft-core.js', 'this.after.push({ type: kind,', 'this.send.push({ type: kind,']],
  },
  {
    name: "commits an old term's entry by counting",
    edits: [['leader.js', 'core.log.term(index) !== core.term || ', 'index > core.log.last || ']],
  },
  {
    name: 'answers a read without a majority',
    edits: [['read-queue.js', 'const round = committedIndex(membership, answered);', 'const round = this.#round;']],
  },
  {
    name: 'reads by a lease that does not end',
    edits: [['read-queue.js', 'Math.floor(this.#options.electionTicks * 0.9)', 'Infinity']],
  },
  {
    name: 'votes for itself in time that it lent to a leader',
    edits: [['election.js', "why === 'wish' && core.lent", 'false']],
  },
  {
    name: 'keeps its lease while it hands leadership over',
    edits: [['leader.js', '!core.leaseBroken && ', '']],
  },
  {
    name: 'a removed leader counts itself',
    edits: [
      [
        'leader.js',
        'committedIndex(core.membership, node => core.progress.get(node)?.match ?? 0)',
        'committedIndex({ ...core.membership, voters: [...new Set([...core.membership.voters, core.id])] }, node => node === core.id ? core.log.stable : (core.progress.get(node)?.match ?? 0))',
      ],
    ],
  },
  {
    name: 'takes a snapshot without its membership',
    edits: [['follower.js', 'core.membership = snapshot.membership;', '']],
  },
  {
    name: 'a late append truncates what was acknowledged',
    edits: [['raft-log.js', 'if (this.term(entry.index) === entry.term)\n                continue;', '']],
  },
  {
    name: 'never leaves a joint configuration',
    edits: [['leader.js', '!core.membership.autoLeave ||', 'true ||']],
  },
  {
    name: 'commits by one half of a joint configuration',
    edits: [
      ['quorum.js', 'Math.min(majorityIndex(voters, has), majorityIndex(outgoing, has))', 'majorityIndex(voters, has)'],
    ],
  },
  {
    name: 'elects by one half of a joint configuration',
    edits: [['quorum.js', 'majorityVote(outgoing, votes)]', "'won']"]],
  },
  {
    name: 'changes members twice at a time',
    edits: [
      [
        'leader.js',
        "if (membershipIndex > core.log.applied)\n        return 'membership-pending'",
        "if (false)\n        return 'membership-pending'",
      ],
    ],
  },
  {
    name: 'votes for a shorter log',
    edits: [
      [
        'raft-log.js',
        'lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.last)',
        'lastTerm >= this.lastTerm',
      ],
    ],
  },
  {
    name: 'takes an old acknowledgement of the disk for new entries',
    edits: [
      ['raft.js', 'if (term === core.term) {', '{'],
      ['raft-log.js', 'index <= this.handed && this.term(index) === term', 'index <= this.last'],
    ],
  },
  {
    name: 'applies what is not committed',
    edits: [['raft.js', 'Math.min(log.committed, log.stable)', 'log.stable']],
  },
  {
    name: 'tells a commit index that the follower may not have',
    edits: [
      [
        'leader.js',
        'Math.min(progress.match, core.log.committed);\n        core.send',
        'core.log.committed;\n        core.send',
      ],
    ],
  },
  {
    name: 'takes any log for matching',
    edits: [['follower.js', 'log.term(prevIndex) !== prevTerm', 'prevIndex > log.last']],
  },
  {
    name: 'leads without an entry of its own term',
    edits: [['raft-core.js', "this.appendOwn([{ kind: 'noop', data: empty }]);", '']],
  },
  {
    name: 'records a commit index that its disk does not have',
    edits: [['raft-core.js', 'commit: this.recordableCommit }', 'commit: this.log.committed }']],
  },
  {
    name: 'commits two changes of members at once after a restart',
    edits: [['raft-log.js', 'if (earlier > 0)', 'if (false)']],
  },
  {
    name: 'applies entries again after a restart',
    edits: [
      [
        'raft-log.js',
        'this.applied = this.applying = snapshot.index;\n        this.stable',
        'this.applied = this.applying = Math.max(0, snapshot.index - 1);\n        this.stable',
      ],
    ],
  },
  { name: 'driver: loses a write that it calls durable', parts: { NodeClass: LosesWrites } },
  { name: 'driver: does not write terms and votes', parts: { NodeClass: KeepsNoVotes } },
  { name: 'driver: answers before the disk has it', parts: { NodeClass: AnswersBeforeTheDisk } },
  { name: 'driver: reads by a lease after a stall', parts: { NodeClass: DoesNotTickAStop } },
  { name: 'driver: a snapshot is of a later state than it says', parts: { NodeClass: SnapshotsChangeUnderWriter } },
  { name: 'driver: reads before the state is there', parts: { NodeClass: ReadsTooEarly } },
  { name: 'state machine: a command again after a snapshot', parts: { machine: forgetsSessions } },
  { name: 'state machine: the same fencing token twice', parts: { machine: countsTokens() } },
]

/** What a group with this bug is made of. @throws Error when an edit does not fit: the core has changed, and so must the mutant. */
export async function loadMutant({ name, edits = [], parts = {} }: Mutant): Promise<Partial<RaftParts>> {
  if (edits.length === 0) return parts
  const source = fileURLToPath(new URL('../../../src/', import.meta.url))
  const folder = mkdtempSync(join(tmpdir(), 'raft-mutant-'))
  try {
    for (const part of ['kernel', 'ha/raft']) cpSync(join(source, part), join(folder, part), { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    for (const [file, find, replace] of edits) {
      const path = join(folder, 'ha', 'raft', file)
      const places = readFileSync(path, 'utf8').split(find)
      if (places.length !== 2) throw new Error(`mutant '${name}': ${places.length - 1} places in ${file} fit '${find}'`)
      writeFileSync(path, places.join(replace))
    }
    const module = (await import(pathToFileURL(join(folder, 'ha', 'raft', 'raft.js')).href)) as { Raft: RaftClass }
    return { ...parts, RaftClass: module.Raft }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
