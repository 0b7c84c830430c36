import { CloudError, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import type { Command } from 'commander'
import { test } from 'tap'
import type { CliContext } from '../../src/cli/cli-context.js'
import { nodeFinding } from '../../src/cli/doctor-checks.js'
import { commandLine } from '../../src/cli/main.js'
import { showError, table } from '../../src/cli/output.js'
import { platformHome } from '../../src/cli/platform-home.js'

function contextOf(lines: string[]): CliContext {
  return {
    home: platformHome({ AAAS_HOME: '/nowhere' }),
    clock: systemClock(),
    ids: systemIds(),
    output: { json: false, line: text => lines.push(text), error: text => lines.push(text) },
    environment: {},
    interrupted: () => new AbortController().signal,
  }
}

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
}

test('every command has a description, help with an example that is its own, and --json', async t => {
  const commands = leaves(commandLine(contextOf([])))
  const paths = commands.map(
    command => `${command.parent?.name() === 'aaas' ? '' : `${command.parent?.name()} `}${command.name()}`,
  )
  t.same(paths, [
    'up',
    'doctor',
    'template ls',
    'template measure',
    'site new',
    'site push',
    'site deploy',
    'site rollback',
    'site scale',
    'site restart',
    'site maintenance',
    'site ls',
    'site status',
    'site versions',
    'site usage',
    'site logs',
    'site prove',
    'api-key create',
    'api-key ls',
    'api-key revoke',
    'package build',
    'package sign',
    'package verify',
    'package ls',
    'cloudware add',
    'cloudware remove',
    'ledger verify',
    'backup',
    'restore',
    'clone',
    'wal verify',
  ])
  for (const [index, command] of commands.entries()) {
    const path = paths[index] ?? ''
    let text = ''
    command.configureOutput({ writeOut: part => (text += part) })
    command.outputHelp()
    t.match(text, new RegExp(`Examples:\\n {2}\\$ .*aaas ${path}`), path)
    t.match(text, '--json', path)
    t.not(command.description(), '', path)
  }
})

test('exit codes say whether the input or the moment was wrong', async t => {
  const output = { json: true, line: () => undefined, error: () => undefined }
  t.equal(showError(output, new CloudError('core.contract.invalid-input', 'x')), 2)
  t.equal(showError(output, new CloudError('site.factory.invalid-site', 'x')), 2)
  t.equal(showError(output, new CloudError('site.factory.impossible-performance', 'x')), 2)
  t.equal(showError(output, new CloudError('core.contract.payload-too-large', 'x')), 2)
  t.equal(showError(output, new CloudError('site.center.unknown-site', 'x')), 1)
  t.equal(showError(output, new CloudError('core.deploy.port-in-use', 'x')), 1)
  t.equal(showError(output, new CloudError('core.contract.cancelled', 'x')), 130)
  t.equal(showError(output, new TypeError('a bug')), 1)
})

test('an error for a person names the field and the first twenty bad rows', async t => {
  const lines: string[] = []
  const rows = Array.from({ length: 30 }, (_, index) => ({ row: index + 2, field: 'price', reason: 'is no amount' }))
  showError(
    { json: false, line: () => undefined, error: text => lines.push(text) },
    new CloudError('core.contract.invalid-input', 'bad rows', { field: 'catalogue', details: { rows } }),
  )
  t.equal(lines[0], 'error: bad rows [catalogue] (core.contract.invalid-input)')
  t.equal(lines[1], '  row 2, price: is no amount')
  t.equal(lines.length, 21)
})

test('columns of a table line up for wide characters', async t => {
  t.equal(
    table(
      ['A', 'B'],
      [
        ['杯子', '1'],
        ['cup', '2'],
      ],
    ),
    'A     B\n杯子  1\ncup   2',
  )
})

test('doctor knows which Node is too old', async t => {
  for (const [version, ok] of [
    ['20.18.3', false],
    ['20.19.0', true],
    ['18.20.4', false],
    ['24.1.0', true],
  ] as const) {
    t.match(nodeFinding(version), { check: 'node', ok }, version)
  }
})
