import type { Command } from 'commander'
import { withExamples } from './arguments.js'
import type { CliContext } from './cli-context.js'
import { measureCommand } from './measure-command.js'
import { show, table } from './output.js'
import { platformTemplates } from './platform-templates.js'

/** `aaas template ls|measure` */
export function templateCommands(program: Command, context: () => CliContext): void {
  const template = program.command('template').description('templates of sites')
  const ls = template.command('ls').description('templates this platform brings, and what one instance of each can do')
  withExamples(ls, 'aaas template ls', 'aaas template ls --json').action(() => list(context()))
  measureCommand(template, context)
}

function list({ output, home }: CliContext): void {
  const templates = platformTemplates(home).map(({ name, version, summary, capacity, extensionPoints }) => ({
    name,
    version,
    summary,
    capacity,
    extensionPoints,
  }))
  show(output, templates, rows =>
    [
      table(
        ['TEMPLATE', 'VERSION', 'ORDERS/S', 'READS/S', 'SUMMARY'],
        rows.map(({ name, version, capacity, summary }) => [
          name,
          version,
          String(capacity.ordersPerSecond),
          String(capacity.readsPerSecond),
          summary.en,
        ]),
      ),
      ...rows.map(({ name, capacity }) => `${name}: of one instance, p99 ${capacity.p99Ms} ms, ${capacity.measuredOn}`),
    ].join('\n'),
  )
}
