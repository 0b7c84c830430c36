import { systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { Command, CommanderError } from 'commander'
import type { CliContext } from './cli-context.js'
import { cloudwareCommands } from './cloudware-commands.js'
import { doctorCommand } from './doctor-command.js'
import { type Output, show, showError, table } from './output.js'
import { packageCommands } from './package-commands.js'
import { platformHome } from './platform-home.js'
import { templates } from './platform-templates.js'
import { siteCommands } from './site-commands.js'
import { upCommand } from './up-command.js'

/**
 * Runs one command line. Exit codes: 0 done, 1 failed or refused, 2 wrong input.
 * @param argv - arguments after the program's name.
 */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('aaas')
  let context: CliContext | undefined
  const current = (): CliContext => {
    context ??= makeContext(program.opts<{ json?: boolean }>().json === true)
    return context
  }
  program
    .description('All as a Service: generate sites from templates, prove how fast they are, run and extend them.')
    .option('--json', 'machine-readable output, one JSON value')
    .version('0.1.0')
    .showHelpAfterError('(run with --help for usage)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
  upCommand(program, current)
  doctorCommand(program, current)
  program
    .command('template')
    .description('templates of sites')
    .command('ls')
    .description('templates this platform brings')
    .action(() =>
      show(
        current().output,
        templates.map(({ name, version, summary, capacity, extensionPoints }) => ({ name, version, summary, capacity, extensionPoints })),
        rows =>
          table(
            ['TEMPLATE', 'VERSION', 'ORDERS/S PER INSTANCE', 'SUMMARY'],
            rows.map(row => [row.name, row.version, String(row.capacity.ordersPerSecond), row.summary.en]),
          ),
      ),
    )
  siteCommands(program, current)
  packageCommands(program, current)
  cloudwareCommands(program, current)
  acceptJsonEverywhere(program)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : showError(current().output, error)
  }
}

/** `aaas site ls --json` works like `aaas --json site ls`. */
function acceptJsonEverywhere(root: Command): void {
  const visit = (command: Command): void => {
    for (const child of command.commands) {
      child.option('--json', 'machine-readable output').exitOverride()
      child.hook('preAction', () => {
        if (child.opts<{ json?: boolean }>().json === true) root.setOptionValue('json', true)
      })
      visit(child)
    }
  }
  visit(root)
}

function makeContext(json: boolean): CliContext {
  const output: Output = {
    json,
    line: text => void process.stdout.write(`${text}\n`),
    error: text => void process.stderr.write(`${text}\n`),
  }
  return {
    home: platformHome(process.env),
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    output,
    environment: process.env,
  }
}
