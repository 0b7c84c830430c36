import { copyDatabase, pgDatabase } from '@aaas/support-cloud/rdbms'
import { type LedgerVerdict, openLedger } from '@aaas/support-cloud/transaction'
import type { Command } from 'commander'
import { withExamples } from './arguments.js'
import { backupCommands } from './backup-commands.js'
import { type CliContext, progressOf } from './cli-context.js'
import { adminUrlOf, siteDatabase } from './local-database.js'
import { exitCodes, show } from './output.js'

/** `aaas ledger verify`, `aaas backup`, `aaas restore`, `aaas clone`: what needs the platform's database on this machine. */
export function dataCommands(program: Command, context: () => CliContext): void {
  const ledger = program.command('ledger').description('money of a site')
  withExamples(
    ledger
      .command('verify <name>')
      .description(
        'recompute every balance of a site from its entries; exit code 1 and the first wrong row when one is wrong',
      ),
    'aaas ledger verify shop',
  ).action((name: string) => verify(context(), name))
  backupCommands(program, context)
  withExamples(
    program
      .command('clone <name> <database>')
      .description(
        'copy the database of a site, as it is now, into another on the same server; the site waits meanwhile',
      ),
    'aaas clone shop shop_monday',
  ).action((name: string, database: string) => clone(context(), name, database))
}

async function verify(context: CliContext, site: string): Promise<void> {
  const { url } = await siteDatabase(await adminUrlOf(context), site)
  // The proof sets no limit to itself; waiting for a connection has one.
  await using database = pgDatabase({ url, maxConnections: 1 })
  progressOf(context)(`reading the whole ledger of ${site}`)
  const verdict = await openLedger({ database }).verify()
  show(context.output, { site, ...verdict }, formatVerdict)
  if (!verdict.ok) process.exitCode = exitCodes.failed
}

function formatVerdict({ site, ok, accounts, transfers, entries, wrong }: LedgerVerdict & { site: string }): string {
  const size = `${accounts} accounts, ${transfers} transfers, ${entries} entries`
  return ok ? `${site}: proved (${size})` : `${site}: WRONG: ${wrong?.row} ${wrong?.key}: ${wrong?.why} (${size})`
}

async function clone(context: CliContext, site: string, name: string): Promise<void> {
  const adminUrl = await adminUrlOf(context)
  const { name: from } = await siteDatabase(adminUrl, site)
  progressOf(context)(`copying ${from}`)
  const { url } = await copyDatabase({ adminUrl, ids: context.ids, from, name })
  show(context.output, { site, database: name, url }, made => `${made.database}\n${made.url}`)
}
