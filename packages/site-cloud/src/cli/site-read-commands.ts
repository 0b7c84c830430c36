import { sleep } from '@aaas/core-cloud/kernel'
import { type Command, Option } from 'commander'
import { positiveNumber, withExamples } from './arguments.js'
import { type CliContext, clientOf } from './cli-context.js'
import { show, table } from './output.js'
import { formatLogLine, formatSite, formatSites, formatVersions, type LogLine } from './site-format.js'

/** `aaas site ls|status|versions|usage|logs` */
export function siteReadCommands(site: Command, context: () => CliContext): void {
  withExamples(site.command('ls').description('all sites and platform services'), 'aaas site ls').action(async () =>
    show(context().output, (await clientOf(context()).listSites({})).sites, formatSites),
  )
  withExamples(
    site.command('status <name>').description('one site with its instances and cloudware'),
    'aaas site status shop',
  ).action(async (name: string) =>
    show(context().output, await clientOf(context()).getSite({ site: name }), formatSite),
  )
  withExamples(site.command('versions <name>').description('versions, newest first'), 'aaas site versions shop').action(
    async (name: string) =>
      show(context().output, (await clientOf(context()).listVersions({ site: name })).versions, formatVersions),
  )
  withExamples(
    site.command('usage <name>').description('what the site used, from the metering counters'),
    'aaas site usage shop --json',
  ).action(async (name: string) =>
    show(context().output, await clientOf(context()).usage({ site: name }), usage =>
      table(
        ['COUNTER', 'TOTAL'],
        Object.entries(usage.counters).map(([key, value]) => [key, String(value)]),
      ),
    ),
  )
  withExamples(
    site
      .command('logs <name>')
      .description('log lines of all instances, running or gone; oldest first')
      .option('--instance <id>', 'of one instance')
      .option('--text <part>', 'only lines that contain this')
      .addOption(new Option('--level <level>', 'this level and above').choices(['debug', 'info', 'warn', 'error']))
      .option('--limit <n>', 'lines, at most 1000', positiveNumber, 100)
      .option('--follow', 'go on with new lines until Ctrl-C; with --json one object a line'),
    'aaas site logs shop --level warn',
    'aaas site logs shop --text order --follow',
  ).action((name: string, options: LogOptions) => logs(context(), name, options))
}

interface LogOptions {
  readonly instance?: string
  readonly text?: string
  readonly level?: 'debug' | 'info' | 'warn' | 'error'
  readonly limit: number
  readonly follow?: boolean
}

async function logs(context: CliContext, site: string, options: LogOptions): Promise<void> {
  const client = clientOf(context)
  const { instance, text, level, limit, follow } = options
  // Named one by one: the parser's object has options of every command in it, such as `json`.
  const query = {
    limit,
    ...(instance === undefined ? {} : { instance }),
    ...(text === undefined ? {} : { text }),
    ...(level === undefined ? {} : { level }),
  }
  const { records } = await client.logs({ site, ...query })
  const { output, clock } = context
  if (follow !== true) {
    show(output, records, lines => lines.toReversed().map(formatLogLine).join('\n'))
    return
  }
  const signal = context.interrupted()
  const print = (lines: readonly LogLine[]): void => {
    for (const line of lines) show(output, line, formatLogLine)
  }
  print(records.toReversed())
  let seen = new Set(records.map(keyOf))
  let since = records[0]?.at ?? clock.now()
  while (!signal.aborted) {
    await sleep(clock, 1_000, signal).catch(() => undefined)
    if (signal.aborted) return
    // Lines of the same millisecond may arrive late: the last one is asked for again, what was shown is left out.
    const page = await client.logs({ site, ...query, since, limit: 1_000 })
    print(page.records.toReversed().filter(line => !seen.has(keyOf(line))))
    if (page.records.length > 0) seen = new Set(page.records.map(keyOf))
    since = page.records[0]?.at ?? since
  }
}

function keyOf(line: LogLine): string {
  return `${line.at} ${line.instance} ${line.message} ${JSON.stringify(line.fields)}`
}
