import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { archiveLimits, inspectPackage, unpackPackage } from '@aaas/core-cloud/cloudware'
import { CloudError, type ErrorCode } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import { Header, type HeaderData } from 'tar'

const packageJson = JSON.stringify({
  name: 'sample',
  version: '1.0.0',
  scripts: { preinstall: 'touch /tmp/ran', postinstall: 'touch /tmp/ran' },
  aaas: { kind: 'cloudware', engine: '*', entry: 'index.js', hooks: [{ hook: 'order.place@1', kind: 'validate' }] },
})

type Entry = HeaderData & { readonly content?: string | Buffer }

/** A tarball of whatever entries: what `buildPackage` would never write. */
function tarball(...entries: Entry[]): Buffer {
  const blocks = entries.map(({ content = '', ...data }) => {
    const body = Buffer.from(content)
    const header = Buffer.alloc(512)
    new Header({ type: 'File', mode: 0o644, uid: 0, gid: 0, size: body.length, mtime: new Date(0), ...data }).encode(
      header,
    )
    return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)])
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1_024)]))
}
const good: Entry[] = [
  { path: 'package/package.json', content: packageJson },
  { path: 'package/index.js', content: 'export {}' },
]

async function place(t: Test): Promise<{ readonly root: string; readonly dir: string }> {
  const root = await mkdtemp(join(tmpdir(), 'cw-unpack-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  return { root, dir: join(root, 'packages', 'digest') }
}

async function refusal(work: Promise<unknown>): Promise<CloudError> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  )
  if (!CloudError.is(error)) throw error
  return error
}

test('a package is written whole, and again without harm', async t => {
  const { root, dir } = await place(t)
  const bytes = tarball(
    ...good,
    { path: 'package/bin/run.sh', mode: 0o755, content: '#!/bin/sh' },
    { path: 'package/bin', type: 'Directory' },
  )
  const { ref, packageJson: read } = await unpackPackage({ tarball: bytes, dir })
  t.match(ref, { name: 'sample', version: '1.0.0', digest: /^[0-9a-f]{128}$/ })
  t.equal(read.aaas.entry, 'index.js')
  t.equal(await readFile(join(dir, 'index.js'), 'utf8'), 'export {}')
  t.equal((await stat(join(dir, 'bin/run.sh'))).mode & 0o777, 0o755)
  const { ino } = await stat(dir)
  await unpackPackage({ tarball: bytes, dir })
  t.equal((await stat(dir)).ino, ino, 'a good folder is left alone')
  t.same(await readdir(join(root, 'packages')), ['digest'], 'nothing is left beside it')
})

test('a folder that is damaged or half there is replaced', async t => {
  const { root, dir } = await place(t)
  await unpackPackage({ tarball: tarball(...good), dir })
  await writeFile(join(dir, 'index.js'), 'export const changed = 1')
  await unpackPackage({ tarball: tarball(...good), dir })
  t.equal(await readFile(join(dir, 'index.js'), 'utf8'), 'export {}')
  await rm(dir, { recursive: true })
  await mkdir(dir)
  await unpackPackage({ tarball: tarball(...good), dir })
  t.same((await readdir(dir)).sort(), ['index.js', 'package.json'])
  t.same(await readdir(join(root, 'packages')), ['digest'])
})

test('many at once into one folder all succeed', async t => {
  const { root, dir } = await place(t)
  await Promise.all(Array.from({ length: 8 }, () => unpackPackage({ tarball: tarball(...good), dir })))
  t.same((await readdir(dir)).sort(), ['index.js', 'package.json'])
  t.same(await readdir(join(root, 'packages')), ['digest'])
})

test('a malicious archive is refused and nothing is written', async t => {
  const cases: [string, Buffer, RegExp?][] = [
    ['parent folder', tarball(...good, { path: 'package/../../evil.js', content: 'x' }), /leads out/],
    ['parent folder at the start', tarball(...good, { path: '../evil.js', content: 'x' })],
    ['absolute path', tarball(...good, { path: '/tmp/evil.js', content: 'x' }), /absolute/],
    ['backslashes', tarball(...good, { path: 'package\\..\\evil.js', content: 'x' })],
    ['drive', tarball(...good, { path: 'package/c:evil.js', content: 'x' })],
    ['another root', tarball(...good, { path: 'other/evil.js', content: 'x' })],
    ['empty part', tarball(...good, { path: 'package//evil.js', content: 'x' })],
    ['dot part', tarball(...good, { path: 'package/./evil.js', content: 'x' })],
    ['line feed in a name', tarball(...good, { path: 'package/a\nb.js', content: 'x' })],
    [
      'symbolic link',
      tarball(...good, { path: 'package/link', type: 'SymbolicLink', linkpath: '/etc' }),
      /SymbolicLink/,
    ],
    [
      'link, then a file through it',
      tarball(
        ...good,
        { path: 'package/l', type: 'SymbolicLink', linkpath: '/tmp' },
        { path: 'package/l/x', content: 'x' },
      ),
    ],
    ['hard link', tarball(...good, { path: 'package/link', type: 'Link', linkpath: '/etc/passwd' }), /is a Link/],
    ['device', tarball(...good, { path: 'package/dev', type: 'CharacterDevice', devmaj: 1, devmin: 3 })],
    ['fifo', tarball(...good, { path: 'package/fifo', type: 'FIFO' })],
    ['the same file twice', tarball(...good, { path: 'package/index.js', content: 'other' })],
    ['a file that is a folder too', tarball(...good, { path: 'package/index.js/evil.js', content: 'x' })],
    ['a file where the root is', tarball(...good, { path: 'package', content: 'x' })],
    ['too deep', tarball(...good, { path: `package/${'d/'.repeat(archiveLimits.pathDepth)}x`, content: '' })],
    ['no package.json', tarball({ path: 'package/index.js', content: '' })],
    ['nothing at all', tarball()],
    ['not gzip', Buffer.from('PK not a tarball at all')],
    ['gzip of rubbish', gzipSync(Buffer.alloc(2_048, 7))],
    ['cut off', gzipSync(Buffer.concat([header('package/package.json', 4_000), Buffer.alloc(512)]))],
  ]
  for (const [name, bytes, message] of cases) {
    const { root, dir } = await place(t)
    const error = await refusal(unpackPackage({ tarball: bytes, dir }))
    t.equal(error.code, 'core.cloudware.invalid-package' satisfies ErrorCode, `${name}: ${error.message}`)
    if (message !== undefined) t.match(error.message, message)
    t.same(await readdir(root), [], name)
    t.throws(() => inspectPackage(bytes), { code: 'core.cloudware.invalid-package' }, name)
  }
})

function header(path: string, size: number): Buffer {
  const block = Buffer.alloc(512)
  new Header({ path, size, type: 'File', mode: 0o644, mtime: new Date(0) }).encode(block)
  return block
}

test('an entry that is not in the archive is a fault of the manifest', async t => {
  const { dir } = await place(t)
  const error = await refusal(
    unpackPackage({ tarball: tarball({ path: 'package/package.json', content: packageJson }), dir }),
  )
  t.match(error, { code: 'core.cloudware.invalid-manifest', field: 'aaas/entry' })
})

test('5,000 files fit, one more does not', async t => {
  const { dir } = await place(t)
  const fill = (count: number): Buffer =>
    tarball(
      ...good,
      ...Array.from({ length: count - good.length }, (_, index) => ({ path: `package/f/${index}`, content: '' })),
    )
  t.equal(inspectPackage(fill(archiveLimits.files)).files.length, archiveLimits.files)
  t.match(await refusal(unpackPackage({ tarball: fill(archiveLimits.files + 1), dir })), {
    code: 'core.cloudware.invalid-package',
  })
})

test('64 MiB fit, one byte more does not, and a bomb is stopped before it is unpacked', async t => {
  const { dir } = await place(t)
  const used = good.reduce((sum, entry) => sum + Buffer.byteLength(entry.content ?? ''), 0)
  const room = archiveLimits.unpackedBytes - used
  const fill = (bytes: number): Buffer => tarball(...good, { path: 'package/data', content: Buffer.alloc(bytes) })
  t.equal(inspectPackage(fill(room)).unpackedBytes, archiveLimits.unpackedBytes)
  t.match(await refusal(unpackPackage({ tarball: fill(room + 1), dir })), { message: /more than/ })
  const bomb = gzipSync(Buffer.alloc(archiveLimits.unpackedBytes * 2))
  t.match(await refusal(unpackPackage({ tarball: bomb, dir })), { message: /unpacks to more than/ })
  const large = Buffer.alloc(archiveLimits.packedBytes + 1)
  t.match(await refusal(unpackPackage({ tarball: large, dir })), { message: /more than/ })
})
