import type { Command } from 'commander'
import type { CliContext } from './cli-context.js'
import { proveCommand } from './prove-command.js'
import { siteBuildCommands } from './site-build-commands.js'
import { siteChangeCommands } from './site-change-commands.js'
import { siteReadCommands } from './site-read-commands.js'

/** `aaas site ...` */
export function siteCommands(program: Command, context: () => CliContext): void {
  const site = program.command('site').description('generate, deploy and operate sites')
  siteBuildCommands(site, context)
  siteChangeCommands(site, context)
  siteReadCommands(site, context)
  proveCommand(site, context)
}
