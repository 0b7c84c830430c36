import { type WalReport, walVerify } from '@aaas/core-cloud/ha'
import type { Command } from 'commander'
import { withExamples } from './arguments.js'
import type { CliContext } from './cli-context.js'
import { exitCodes, show } from './output.js'

/** `aaas wal verify`: the log of a node of a consensus cluster, without starting the node. */
export function walCommands(program: Command, context: () => CliContext): void {
  const wal = program.command('wal').description('log of a node of a consensus cluster')
  withExamples(
    wal
      .command('verify <dir>')
      .description(
        'read the whole log of a node that is not running; exit code 1 and the first wrong place when damaged',
      ),
    'aaas wal verify /srv/ha/node-1',
  ).action(async (dir: string) => {
    const report = await walVerify(dir)
    const { problem, ...rest } = report
    show(context().output, { ...rest, ...(problem === undefined ? {} : { problem: problem.toJSON() }) }, () =>
      formatReport(report),
    )
    if (!report.ok) process.exitCode = exitCodes.failed
  })
}

function formatReport({ ok, problem, cluster, node, records, bytes, torn, closed, groups }: WalReport): string {
  if (!ok) return `DAMAGED: ${problem?.message}`
  const end = closed ? 'stopped in order' : `not stopped in order, ${torn} torn bytes at the end`
  const lines = groups.map(
    group =>
      `group ${group.group}: term ${group.term}, committed ${group.commit}, entries ${group.snapshotIndex + 1} to ${group.last}`,
  )
  return [`node ${node} of ${cluster}: ${records} records, ${bytes} bytes, ${end}`, ...lines].join('\n')
}
