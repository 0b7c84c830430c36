import { type Database, migrate, pgDatabase, type Statement } from '@aaas/support-cloud/rdbms'
import { ManualClock, openTestDatabase, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { Compile } from 'typebox/compile'
import { type PartyDeps, PartyService, partyContract, partyMigrations } from '../../src/party/index.js'

interface PartyFixture extends AsyncDisposable {
  readonly party: PartyService
  readonly clock: ManualClock
  readonly db: Database
  readonly statements: Statement[]
  another(more: Partial<PartyDeps>): PartyService
}

const cheap = { N: 16, r: 1, p: 1 }

async function openParty(): Promise<PartyFixture> {
  const database = await openTestDatabase()
  const plain = pgDatabase({ url: database.url })
  await migrate(plain, [partyMigrations])
  const clock = new ManualClock()
  const ids = seededIds()
  const statements: Statement[] = []
  const db = {
    ...plain,
    query: (statement: Statement) => {
      statements.push(statement)
      return plain.query(statement)
    },
  } as Database
  const another = (more: Partial<PartyDeps> = {}): PartyService =>
    new PartyService({ db, clock, ids, passwordCost: cheap, ...more })
  return {
    party: another(),
    clock,
    db,
    statements,
    another,
    async [Symbol.asyncDispose]() {
      await plain[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

const email = 'Mei.Lin@Example.com'
const password = 'correct horse'
const minute = 60_000

test('a buyer registers, comes back, leaves', async t => {
  await using shop = await openParty()
  const { party, statements } = shop
  const registered = await party.register({ email, password, name: ' 林 美 ' })
  t.ok(Compile(partyContract.methods.register.output).Check(registered))
  t.match(registered.party, { kind: 'registered', name: '林 美', email: 'mei.lin@example.com', groups: [] })
  t.same(await party.bySession({ sessionToken: registered.sessionToken }), { party: registered.party })
  const again = await party.login({ email: '  ｍｅｉ.lin@EXAMPLE.com', password })
  t.same(again.party, registered.party)
  t.not(again.sessionToken, registered.sessionToken)
  await party.logout({ sessionToken: again.sessionToken })
  t.same(await party.bySession({ sessionToken: again.sessionToken }), {})
  t.ok((await party.bySession({ sessionToken: registered.sessionToken })).party)
  const sent = JSON.stringify(statements)
  for (const secret of [password, registered.sessionToken, again.sessionToken])
    t.notOk(sent.includes(secret), 'no secret reaches the database')
})

test('an address is registered once, however it is written', async t => {
  await using shop = await openParty()
  const { party } = shop
  const outcomes = await Promise.allSettled(
    [email, email.toUpperCase(), 'mei.lin＠example.com'].map(email => party.register({ email, password, name: 'x' })),
  )
  t.equal(outcomes.filter(outcome => outcome.status === 'fulfilled').length, 1)
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') t.match(outcome.reason, { code: 'business.party.taken', field: 'email' })
})

test('what cannot be stored is refused with its field', async t => {
  await using shop = await openParty()
  const { party } = shop
  for (const wrong of ['a＠b@c', 'a@b\u00a0c', 'a@\u0000b', 'a@b\ud800', `${'x'.repeat(250)}@b.cn`]) {
    await t.rejects(party.register({ email: wrong, password, name: 'x' }), {
      code: 'core.contract.invalid-input',
      field: 'email',
    })
  }
  for (const name of [' ', 'a\0b', 'a\nb', '\ud800']) {
    await t.rejects(party.register({ email, password, name }), { code: 'core.contract.invalid-input', field: 'name' })
  }
})

test('wrong passwords and unknown addresses look and cost the same', async t => {
  await using shop = await openParty()
  const { party, statements } = shop
  await party.register({ email, password, name: 'x' })
  const failure = async (input: { email: string; password: string }): Promise<unknown> => {
    statements.length = 0
    const error = await party.login(input).catch((error: unknown) => error)
    return { error: JSON.parse(JSON.stringify(error)), names: statements.map(statement => statement.name) }
  }
  const wrong = await failure({ email, password: 'wrong horse' })
  t.match(wrong, { error: { code: 'business.party.bad-credentials' }, names: ['party-login-begin'] })
  t.same(await failure({ email: 'nobody@example.com', password }), wrong)
  t.same(await failure({ email: 'nobody@example.com', password: '' }), wrong)
})

test('ten wrong tries lock an address for fifteen minutes', async t => {
  await using shop = await openParty()
  const { party, clock } = shop
  await party.register({ email, password, name: 'x' })
  for (const address of [email, 'nobody@example.com']) {
    for (let nth = 1; nth <= 10; nth++) {
      await t.rejects(
        party.login({ email: address, password: 'wrong horse' }),
        { code: 'business.party.bad-credentials' },
        `try ${nth}`,
      )
      await clock.pass(1_000)
    }
    await t.rejects(party.login({ email: address, password }), {
      code: 'core.contract.rate-limited',
      details: { retryAfterMs: 15 * minute - 1_000 },
    })
  }
  await t.rejects(
    shop.another({}).login({ email, password }),
    { code: 'core.contract.rate-limited' },
    'in every instance',
  )
  await clock.pass(15 * minute - 11_000 - 1)
  await t.rejects(party.login({ email, password }), {
    code: 'core.contract.rate-limited',
    details: { retryAfterMs: 1 },
  })
  await clock.pass(1)
  await party.login({ email, password })
  await t.rejects(party.login({ email, password: 'wrong horse' }), { code: 'business.party.bad-credentials' })
})

test('the window slides on, and a right password takes the count back', async t => {
  await using shop = await openParty()
  const { party, clock } = shop
  await party.register({ email, password, name: 'x' })
  const wrong = async (times: number): Promise<void> => {
    for (let nth = 0; nth < times; nth++)
      await t.rejects(party.login({ email, password: 'wrong horse' }), { code: 'business.party.bad-credentials' })
  }
  await wrong(9)
  await party.login({ email, password })
  await wrong(9)
  await clock.pass(15 * minute)
  await wrong(9)
  await party.login({ email, password })
})

test('a hundred tries at once are ten tries', async t => {
  await using shop = await openParty()
  const { party } = shop
  await party.register({ email, password, name: 'x' })
  const codes = await Promise.all(
    Array.from({ length: 60 }, (_, at) =>
      party.login({ email, password: `guess ${at}` }).then(
        () => 'in',
        (error: { code: string }) => error.code,
      ),
    ),
  )
  t.equal(codes.filter(code => code === 'business.party.bad-credentials').length, 10)
  t.equal(codes.filter(code => code === 'core.contract.rate-limited').length, 50)
})

test('sessions end after thirty days, and a buyer has twenty at most', async t => {
  await using shop = await openParty()
  const { party, clock, db } = shop
  const { sessionToken } = await party.register({ email, password, name: 'x' })
  await clock.pass(30 * 24 * 60 * minute - 1)
  t.ok((await party.bySession({ sessionToken })).party)
  await clock.pass(1)
  t.same(await party.bySession({ sessionToken }), {})
  t.equal(await party.purge(), 1)
  const tokens: string[] = []
  for (let nth = 0; nth < 22; nth++) {
    tokens.push((await party.login({ email, password })).sessionToken)
    await clock.pass(1)
  }
  t.same(await party.bySession({ sessionToken: tokens[1] ?? '' }), {})
  t.ok((await party.bySession({ sessionToken: tokens[2] ?? '' })).party)
  const [row] = await db.query({ text: 'select count(*) as sessions from session' })
  t.equal(row?.sessions, 20)
})

test('purge drops old login counts and keeps locks', async t => {
  await using shop = await openParty()
  const { party, clock, db } = shop
  await t.rejects(party.login({ email: 'old@example.com', password }))
  await clock.pass(14 * minute)
  for (let nth = 0; nth < 10; nth++) await t.rejects(party.login({ email, password }))
  await clock.pass(minute)
  t.equal(await party.purge(), 1)
  const rows = await db.query({ text: 'select email from login_throttle' })
  t.same(rows, [{ email: 'mei.lin@example.com' }])
})

test('tokens that cannot be ours cost no query', async t => {
  await using shop = await openParty()
  const { party, statements } = shop
  for (const sessionToken of ['', 'x'.repeat(128), "' or 1=1 --", '\0'.repeat(52)]) {
    t.same(await party.bySession({ sessionToken }), {})
    t.same(await party.logout({ sessionToken }), {})
  }
  t.equal(statements.length, 0)
})

test('groups are set by address', async t => {
  await using shop = await openParty()
  const { party } = shop
  const { sessionToken, party: buyer } = await party.register({ email, password, name: 'x' })
  t.match(await party.setGroups({ email, groups: ['vip', 'staff', 'vip'] }), { groups: ['staff', 'vip'] })
  // One connection, so that a statement that takes another's name would be found out.
  await using single = pgDatabase({ url: shop.db.url, maxConnections: 1 })
  const alone = shop.another({ db: single })
  await alone.setGroups({ email, groups: ['vip', 'staff'] })
  t.same(await alone.groupsOf(buyer.partyId), ['staff', 'vip'])
  t.same(await alone.groupsOf('00000000-0000-7000-8000-000000000000'), [])
  t.same(await alone.groupsOf('guest'), [])
  t.match(await party.bySession({ sessionToken }), { party: { groups: ['staff', 'vip'] } })
  await t.rejects(party.setGroups({ email: 'nobody@example.com', groups: [] }), {
    code: 'business.party.unknown',
    field: 'email',
  })
})

test('a hash of a lower cost is renewed at login', async t => {
  await using shop = await openParty()
  const { party, db } = shop
  await party.register({ email, password, name: 'x' })
  const strong = shop.another({ passwordCost: { ...cheap, N: 32 } })
  await strong.login({ email, password })
  const [row] = await db.query<{ password_hash: string }>({ text: 'select password_hash from credential' })
  t.match(row?.password_hash, /^scrypt\$32\$/)
  await strong.login({ email, password })
  await party.login({ email, password })
})
