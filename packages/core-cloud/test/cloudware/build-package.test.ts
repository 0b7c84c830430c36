import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type BuiltPackage, buildPackage, inspectPackage } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import { Parser } from 'tar'

const manifest = {
  kind: 'cloudware',
  engine: '^0.1.0',
  entry: './index.js',
  hooks: [{ hook: 'order.place@1', kind: 'validate' }],
}
const packageJson = { name: 'sample', version: '1.2.3', aaas: manifest }

async function folder(t: Test, files: Record<string, string>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'cw-build-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  return dir
}

const sample = (more: object = {}): Record<string, string> => ({
  'package.json': JSON.stringify({ ...packageJson, ...more }),
  'index.js': 'export const cloudware = {}',
})
const paths = (built: BuiltPackage): string[] => inspectPackage(built.tarball).files.map(file => file.path)

async function failure(work: Promise<unknown>): Promise<CloudError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  if (!CloudError.is(error)) throw error
  return error
}

test('the same content gives the same bytes, whatever the times, modes and order of writing', async t => {
  const one = await folder(t, { ...sample(), 'a/b.js': '1', 'a/c.js': '2' })
  const two = await folder(t, { 'a/c.js': '2', 'a/b.js': '1', ...sample() })
  await utimes(join(two, 'index.js'), 1_000, 2_000)
  await chmod(join(two, 'index.js'), 0o600)
  const [first, second] = [await buildPackage({ dir: one }), await buildPackage({ dir: two })]
  t.same(first.ref, { name: 'sample', version: '1.2.3', digest: first.ref.digest })
  t.equal(first.ref.digest, second.ref.digest)
  t.ok(Buffer.from(first.tarball).equals(Buffer.from(second.tarball)))
  await writeFile(join(two, 'a/b.js'), '3')
  t.not((await buildPackage({ dir: two })).ref.digest, first.ref.digest)
})

test('entries are sorted by path and name no time, owner or mode of this machine', async t => {
  const dir = await folder(t, { ...sample(), 'a/b.js': '1', 'a.js': '2', 'Z.js': '3' })
  await chmod(join(dir, 'a.js'), 0o777)
  const { tarball } = await buildPackage({ dir })
  const entries: object[] = []
  const parser = new Parser({
    onReadEntry: entry => {
      const { path, mode, uid, gid, mtime } = entry
      entries.push({ path, mode, uid, gid, mtime: mtime?.getTime() })
      entry.resume()
    },
  })
  parser.end(gunzipSync(tarball))
  const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 499_162_500_000 }
  t.same(entries, [
    { path: 'package/Z.js', ...plain },
    { path: 'package/a.js', ...plain, mode: 0o755 },
    { path: 'package/a/b.js', ...plain },
    { path: 'package/index.js', ...plain },
    { path: 'package/package.json', ...plain },
  ])
})

test('the manifest comes back with its defaults', async t => {
  const built = await buildPackage({ dir: await folder(t, sample()) })
  t.same(built.packageJson.aaas.hooks, [
    { hook: 'order.place@1', kind: 'validate', failure: 'open', deadlineMs: 200, order: 0 },
  ])
})

test('without `files` everything is packed but dependencies, version control, secrets and earlier builds', async t => {
  const dir = await folder(t, {
    ...sample(),
    'lib/deep/x.js': '',
    'node_modules/left/index.js': '',
    'lib/node_modules/right/index.js': '',
    '.git/HEAD': '',
    '.env': 'SECRET=1',
    '.env.production': 'SECRET=1',
    '.npmrc': '//registry/:_authToken=1',
    'sample-1.2.3.tgz': '',
    'sample-1.2.3.sig.json': '',
    'docs/archive.tgz': '',
  })
  t.same(paths(await buildPackage({ dir })), ['docs/archive.tgz', 'index.js', 'lib/deep/x.js', 'package.json'])
})

test('`files` names files, folders and globs; `!` takes out; README, LICENSE and package.json always come', async t => {
  const files = {
    'dist/a.js': '',
    'dist/deep/a.test.js': '',
    'dist/deep/b.js': '',
    'src/a.ts': '',
    'src/a.css': '',
    'README.md': '',
    LICENCE: '',
    'docs/README.md': '',
    'extra.txt': '',
  }
  const cases: [string[], string[]][] = [
    [
      ['dist', '!dist/**/*.test.js'],
      ['dist/a.js', 'dist/deep/b.js'],
    ],
    [
      ['./dist/', 'extra.txt'],
      ['dist/a.js', 'dist/deep/a.test.js', 'dist/deep/b.js', 'extra.txt'],
    ],
    [['src/*.ts'], ['src/a.ts']],
    [['dist/*'], ['dist/a.js', 'dist/deep/a.test.js', 'dist/deep/b.js']],
    [['dist/?.js'], ['dist/a.js']],
  ]
  for (const [list, expected] of cases) {
    const dir = await folder(t, { ...sample({ files: ['index.js', ...list] }), ...files })
    t.same(
      paths(await buildPackage({ dir })),
      ['LICENCE', 'README.md', ...expected, 'index.js', 'package.json'].sort(),
      list.join(' '),
    )
  }
})

test('long and non-ASCII paths survive', async t => {
  const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/文件.js`
  t.same(paths(await buildPackage({ dir: await folder(t, { ...sample(), [long]: 'x' }) })), [
    long,
    'index.js',
    'package.json',
  ])
})

test('a link in the folder is refused by name', async t => {
  const dir = await folder(t, sample())
  await symlink('/etc/passwd', join(dir, 'secret.txt'))
  const error = await failure(buildPackage({ dir }))
  t.match(error, { code: 'core.cloudware.invalid-package', message: /secret\.txt is a link/ })
})

test('a path of 250 bytes fits, one of 251 does not', async t => {
  const at = (bytes: number): string => `${'d'.repeat(200)}/${'x'.repeat(bytes - 204)}.js`
  await buildPackage({ dir: await folder(t, { ...sample(), [at(250)]: '' }) })
  const error = await failure(buildPackage({ dir: await folder(t, { ...sample(), [at(251)]: '' }) }))
  t.equal(error.code, 'core.cloudware.invalid-package')
})

test('a wrong manifest is refused with the field that is wrong', async t => {
  const aaas = (more: object): object => ({ ...packageJson, aaas: { ...manifest, ...more } })
  const hook = (more: object): object => aaas({ hooks: [{ hook: 'order.place@1', kind: 'validate', ...more }] })
  const { aaas: _, ...without } = packageJson
  const cases: [object, string | undefined][] = [
    [without, 'aaas'],
    [{ ...packageJson, name: 'Bad Name' }, 'name'],
    [{ ...packageJson, version: '1.0' }, 'version'],
    [hook({ hook: 'order' }), 'aaas/hooks/0/hook'],
    [hook({ kind: 'guess' }), 'aaas/hooks/0/kind'],
    [hook({ failure: 'maybe' }), 'aaas/hooks/0/failure'],
    [hook({ deadlineMs: 10_001 }), 'aaas/hooks/0/deadlineMs'],
    [hook({ deadlineMs: 0 }), 'aaas/hooks/0/deadlineMs'],
    [hook({ prioritty: 1 }), 'aaas/hooks/0/prioritty'],
    [aaas({ hooks: [manifest.hooks[0], manifest.hooks[0]] }), 'aaas/hooks/1/hook'],
    [aaas({ hooks: [] }), 'aaas/hooks'],
    [aaas({ kind: 'site' }), 'aaas/hooks'],
    [aaas({ engine: 'newest' }), 'aaas/engine'],
    [aaas({ requires: { other: 'x.y' } }), 'aaas/requires/other'],
    [aaas({ requires: { 'Bad Name': '1' } }), 'aaas/requires/Bad Name'],
    [aaas({ resources: { memoryMb: 95 } }), 'aaas/resources/memoryMb'],
    [aaas({ resources: { memoryMb: 4_097 } }), 'aaas/resources/memoryMb'],
    [aaas({ config: 5 }), 'aaas/config'],
    [aaas({ entry: '../index.js' }), 'aaas/entry'],
    [aaas({ entry: '/index.js' }), 'aaas/entry'],
    [aaas({ entry: 'lib/../../index.js' }), 'aaas/entry'],
    [aaas({ entry: 'index.ts' }), 'aaas/entry'],
    [aaas({ entry: 'absent.js' }), 'aaas/entry'],
    [aaas({ surprise: 1 }), 'aaas/surprise'],
  ]
  for (const [json, field] of cases) {
    const dir = await folder(t, { ...sample(), 'package.json': JSON.stringify(json) })
    const error = await failure(buildPackage({ dir }))
    t.match(error, { code: 'core.cloudware.invalid-manifest', field }, `${field}: ${error.message}`)
  }
})

test('a folder without package.json, or with one that is not JSON, is refused', async t => {
  for (const files of [{}, { 'package.json': '{' }, { 'package.json': 'null' }]) {
    const error = await failure(buildPackage({ dir: await folder(t, files) }))
    t.equal(error.code, 'core.cloudware.invalid-manifest', error.message)
  }
})
