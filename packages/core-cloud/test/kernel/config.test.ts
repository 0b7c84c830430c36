import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { Type } from 'typebox'

const Config = Type.Object(
  {
    port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    name: Type.String(),
    debug: Type.Optional(Type.Boolean()),
    bus: Type.Object(
      { socketPath: Type.String(), limits: Type.Optional(Type.Object({ maxConnections: Type.Integer() })) },
      { additionalProperties: false },
    ),
    tags: Type.Optional(Type.Array(Type.String())),
  },
  { additionalProperties: false },
)
const defaults = { port: 8080, name: 'default', bus: { socketPath: '/run/bus' } }

test('the environment wins over the file, the file over the defaults; objects are merged', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'aaas-config-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'config.json')
  writeFileSync(
    file,
    JSON.stringify({ name: 'file', port: 81, bus: { limits: { maxConnections: 5 } }, __proto__: { debug: true } }),
  )
  const environment = {
    AAAS_PORT: '82',
    AAAS_BUS_LIMITS_MAX_CONNECTIONS: '7',
    AAAS_DEBUG: 'true',
    AAAS_TAGS: '["a"]',
    AAAS_NAME: '',
    OTHER: 'x',
  }
  const config = await loadConfig(Config, { defaults, file, environment })
  t.same(config, {
    port: 82,
    name: 'file',
    debug: true,
    bus: { socketPath: '/run/bus', limits: { maxConnections: 7 } },
    tags: ['a'],
  })
  t.same(defaults.bus, { socketPath: '/run/bus' }, 'the defaults are untouched')
  t.same(await loadConfig(Config, { defaults, file: join(folder, 'none.json') }), defaults)
})

test('what is wrong is named', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'aaas-config-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'config.json')
  const wrong = (field: string) => ({ code: 'core.kernel.invalid-config', field })
  await t.rejects(loadConfig(Config, { defaults, environment: { AAAS_PORT: 'eighty' } }), wrong('port'))
  await t.rejects(loadConfig(Config, { defaults, environment: { AAAS_PORT: '0' } }), wrong('port'))
  await t.rejects(loadConfig(Config, { defaults: { port: 1, name: '' } }), wrong('bus'))
  await t.rejects(loadConfig(Config, { defaults: { ...defaults, extra: 1 } }), wrong('extra'))
  for (const text of ['{', '[]', '1', JSON.stringify('x'.repeat(1_048_577))]) {
    writeFileSync(file, text)
    await t.rejects(loadConfig(Config, { defaults, file }), wrong('file'))
  }
  await t.rejects(loadConfig(Config, { defaults, file: folder }), wrong('file'))
})
