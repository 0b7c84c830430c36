import type { Command } from 'commander'
import { withExamples } from './arguments.js'
import type { CliContext } from './cli-context.js'
import { examine, type Finding } from './doctor-checks.js'
import { exitCodes, show } from './output.js'

/** `aaas doctor`: what this machine can and cannot do for the platform; exit code 1 when it cannot run. */
export function doctorCommand(program: Command, context: () => CliContext): void {
  withExamples(
    program
      .command('doctor')
      .description('say what this machine can do for the platform, and what keeps it from running'),
    'aaas doctor',
    'AAAS_PORT=9000 aaas doctor --json',
  ).action(async () => {
    const findings = await examine(context())
    const ok = findings.every(one => one.ok)
    show(context().output, { ok, findings }, value => value.findings.map(line).join('\n'))
    if (!ok) process.exitCode = exitCodes.failed
  })
}

function line({ ok, check, detail }: Finding): string {
  return `${ok ? 'ok  ' : 'FAIL'} ${check}: ${detail}`
}
