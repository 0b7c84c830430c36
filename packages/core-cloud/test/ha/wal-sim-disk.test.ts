import { SimDisk } from '@aaas/testing'
import { test } from 'tap'

const text = async (disk: SimDisk, name: string): Promise<string> => {
  const file = await (await disk.files().folder('f')).open(name, 'read')
  return (await file.read(0, 10_000)).toString('latin1')
}

test('the simulated disk keeps what was synced, and of the rest any sectors', async t => {
  const kept = new Set<string>()
  for (let seed = 1; seed <= 60; seed++) {
    const disk = new SimDisk(seed)
    const folder = await disk.files().folder('f')
    const file = await folder.open('a')
    await file.write([Buffer.alloc(1_024, 'o')], 0)
    await file.sync()
    await folder.sync()
    await file.write([Buffer.alloc(1_024, 'n')], 0)
    disk.crash()
    await t.rejects(file.read(0, 1), { code: 'EIO' })
    disk.restart()
    const found = await text(disk, 'a')
    t.equal(found.length, 1_024)
    for (const half of [found.slice(0, 512), found.slice(512)]) t.match(half, /^(o+|n+)$/)
    kept.add(`${found[0]}${found[512]}`)
  }
  t.same([...kept].toSorted(), ['nn', 'no', 'on', 'oo'])
})

test('a kill loses nothing, and names without a sync may be lost with the power', async t => {
  let lost = 0
  for (let seed = 1; seed <= 40; seed++) {
    const disk = new SimDisk(seed)
    const folder = await disk.files().folder('f')
    const file = await folder.open('a', 'write-through')
    await file.write([Buffer.from('x')], 0)
    disk.crash()
    disk.restart('kill')
    t.equal(await text(disk, 'a'), 'x')
    disk.crash()
    disk.restart()
    if (disk.names('f').length === 0) lost += 1
    else t.equal(await text(disk, 'a'), 'x', 'written through')
  }
  t.ok(lost > 5 && lost < 35, `${lost} of 40`)
})

test('a failed sync loses what it was for, whatever comes after', async t => {
  const disk = new SimDisk(1)
  const folder = await disk.files().folder('f')
  const file = await folder.open('a')
  await folder.sync()
  await file.write([Buffer.from('x')], 0)
  disk.faults.syncErrors = 1
  await t.rejects(file.sync(), { code: 'EIO' })
  disk.faults.syncErrors = 0
  await file.sync()
  t.equal(await text(disk, 'a'), 'x', 'it can still be read')
  disk.crash()
  disk.restart()
  t.equal(await text(disk, 'a'), '')
})

test('a full disk takes what fits, and reads fail when they should', async t => {
  const disk = new SimDisk(1)
  disk.faults.capacity = 10_000
  const file = await (await disk.files().folder('f')).open('a')
  await t.rejects(file.write([Buffer.alloc(20_000, 1)], 0), { code: 'ENOSPC' })
  t.equal(disk.bytes('f', 'a').length, 8_192)
  disk.faults.readErrors = 1
  await t.rejects(file.read(0, 1), { code: 'EIO' })
  await t.rejects((await disk.files().folder('f')).open('b', 'read'), { code: 'ENOENT' })
})
