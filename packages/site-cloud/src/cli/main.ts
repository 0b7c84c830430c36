import { CloudError, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { Command, CommanderError } from 'commander'
import { platformVersion } from '../site-center/index.js'
import { apiKeyCommands } from './api-key-commands.js'
import type { CliContext } from './cli-context.js'
import { cloudwareCommands } from './cloudware-commands.js'
import { dataCommands } from './data-commands.js'
import { doctorCommand } from './doctor-command.js'
import { exitCodes, type Output, showError } from './output.js'
import { packageCommands } from './package-commands.js'
import { platformHome } from './platform-home.js'
import { siteCommands } from './site-commands.js'
import { templateCommands } from './template-commands.js'
import { upCommand } from './up-command.js'
import { walCommands } from './wal-commands.js'

/**
 * Runs one command line. Exit codes: 0 done, 1 failed or refused, 2 wrong input, 130 Ctrl-C while waiting.
 * With `--json` anywhere, the result is one JSON value on standard output and an error is one JSON object on standard error.
 * @param argv - arguments after the program's name.
 */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that stops early, such as `head`, is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed),
  )
  const code = await runCommand(argv, makeContext(asksForJson(argv)))
  if (code !== exitCodes.done) process.exitCode = code
}

/** Runs one command line in a context of the caller's. @returns the exit code of an error; 0 when there was none. */
export async function runCommand(argv: readonly string[], context: CliContext): Promise<number> {
  try {
    await commandLine(context).parseAsync([...argv], { from: 'user' })
    return exitCodes.done
  } catch (error) {
    return error instanceof CommanderError ? usageError(context.output, error) : showError(context.output, error)
  }
}

/** The whole command line; tests walk it. */
export function commandLine(context: CliContext): Command {
  const program = new Command('aaas')
  const current = (): CliContext => context
  program
    .description('All as a Service: generate sites from templates, prove how fast they are, run and extend them.')
    .option('--json', 'machine-readable output: one JSON value; errors as one JSON object on standard error')
    .version(platformVersion)
    // Options of the program stand before the command: `site deploy --version 3` is not `--version`.
    .enablePositionalOptions()
    .showHelpAfterError('(run with --help for usage)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', '\nExit codes: 0 done, 1 failed or refused, 2 wrong input, 130 Ctrl-C while waiting.')
  // Commands take this over when they are made. As JSON, the one object of an error is written where it is caught.
  if (context.output.json) program.configureOutput({ writeErr: () => undefined })
  program.exitOverride()
  upCommand(program, current)
  doctorCommand(program, current)
  templateCommands(program, current)
  siteCommands(program, current)
  apiKeyCommands(program, current)
  packageCommands(program, current)
  cloudwareCommands(program, current)
  dataCommands(program, current)
  walCommands(program, current)
  acceptJsonEverywhere(program)
  return program
}

/** `aaas site ls --json` works like `aaas --json site ls`. */
function acceptJsonEverywhere(command: Command): void {
  for (const child of command.commands) {
    child.option('--json', 'machine-readable output')
    acceptJsonEverywhere(child)
  }
}

/** Asked before the command line is parsed, because an error of the parsing itself must be JSON too. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json')
}

/** Help and version end by an exception too, with code 0; a missing sub-command shows the help and is wrong input. */
function usageError(output: Output, error: CommanderError): number {
  if (error.exitCode === 0) return exitCodes.done
  if (output.json) {
    const text =
      error.code === 'commander.help'
        ? 'a command is missing; see --help'
        : error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    showError(output, new CloudError('core.contract.invalid-input', text, { field: fieldOf(text) }))
  }
  return exitCodes.wrongInput
}

/** The option, argument or command that a message of the parser is about. */
function fieldOf(text: string): string {
  const [, quoted = ''] = /for argument '([^']+)'/.exec(text) ?? /'([^']+)'/.exec(text) ?? []
  return quoted.split(/[ ,]/)[0] ?? ''
}

function makeContext(json: boolean): CliContext {
  const output: Output = {
    json,
    line: text => void process.stdout.write(`${text}\n`),
    error: text => void process.stderr.write(`${text}\n`),
  }
  let interruption: AbortController | undefined
  return {
    home: platformHome(process.env),
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    output,
    environment: process.env,
    interrupted: () => {
      if (interruption === undefined) {
        const controller = new AbortController()
        interruption = controller
        process.once('SIGINT', () => controller.abort(new CloudError('core.contract.cancelled', 'stopped by Ctrl-C')))
      }
      return interruption.signal
    },
  }
}
