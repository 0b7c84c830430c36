import { test } from 'tap'
import { adminPassword, openConsole } from './console-bench.js'

function secretOf(text: string): string {
  const [, secret = ''] = /data-testid="secret">([^<]+)</.exec(text) ?? []
  return secret
}

test('an administrator makes users, with a password of their own or a made one', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  t.equal((await admin.act('/users/create', { name: 'ada', role: 'operator', password: '' })).location, '/users')
  const made = secretOf((await admin.get('/users')).text)
  t.match(made, /^[a-z2-7]{24}$/)
  t.equal(secretOf((await admin.get('/users')).text), '', 'shown once')
  t.equal((await console.visitor().login('ada', made)).status, 303)
  t.equal((await admin.act('/users/create', { name: 'bob', role: 'viewer', password: 'twelve chars' })).status, 303)
  t.equal((await console.visitor().login('bob', 'twelve chars')).status, 303)
  t.match(
    console.audit.filter(entry => entry.action === 'user.create').map(entry => entry.detail),
    ['ada: operator', 'bob: viewer'],
  )
  t.notMatch(JSON.stringify(console.audit), made)
})

test('bad users are refused with the field, and nobody is made', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  const wrong: readonly (readonly [Record<string, string>, string, number])[] = [
    [{ name: 'ada', role: 'operator', password: 'eleven char' }, 'password', 400],
    [{ name: 'ada', role: 'operator', password: 'x'.repeat(201) }, 'password', 400],
    [{ name: 'ada', role: 'root', password: '' }, 'role', 400],
    [{ name: '', role: 'viewer', password: '' }, 'name', 400],
    [{ name: 'Ada Lovelace', role: 'viewer', password: '' }, 'name', 400],
    [{ name: 'a'.repeat(65), role: 'viewer', password: '' }, 'name', 400],
    [{ name: 'admin', role: 'viewer', password: '' }, 'name', 409],
  ]
  for (const [fields, field, status] of wrong) {
    const page = await admin.act('/users/create', fields)
    t.equal(page.status, status, JSON.stringify(fields).slice(0, 60))
    t.match(page.text, `data-testid="field">${field}<`)
  }
  t.notMatch((await admin.get('/users')).text, />ada</)
  t.equal((await admin.act('/users/role', { name: 'nobody', role: 'admin' })).status, 404)
  t.equal((await admin.act('/users/remove', { name: 'nobody' })).status, 404)
})

test('a role counts from the next request, a removed user is out at once', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  const one = await console.as('operator')
  t.equal((await one.act('/sites/shop/restart')).status, 303)
  await admin.act('/users/role', { name: 'operator', role: 'viewer' })
  t.equal((await one.act('/sites/shop/restart')).status, 403)
  await admin.act('/users/remove', { name: 'operator' })
  t.equal((await one.get('/')).status, 303)
  t.equal((await console.visitor().login('operator', 'password of operator')).status, 401)
})

test('the last administrator stays, also when two leave at once', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  for (const [path, fields] of [
    ['/users/remove', { name: 'admin' }],
    ['/users/role', { name: 'admin', role: 'viewer' }],
  ] as const) {
    const page = await admin.act(path, fields)
    t.equal(page.status, 409)
    t.match(page.text, /site\.console\.last-admin/)
  }
  await admin.act('/users/create', { name: 'second', role: 'admin', password: 'password of second' })
  const second = console.visitor()
  await second.login('second', 'password of second')
  const outcomes = await Promise.all([
    admin.act('/users/remove', { name: 'second' }),
    second.act('/users/remove', { name: 'admin' }),
  ])
  t.equal(
    outcomes.filter(page => page.status === 303 && page.location === '/users').length,
    1,
    outcomes.map(page => page.status).join(),
  )
})

test('a password that is reset ends the sessions of its user', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  const one = await console.as('viewer')
  await admin.act('/users/password', { name: 'viewer' })
  const made = secretOf((await admin.get('/users')).text)
  t.equal((await one.get('/')).status, 303)
  t.equal((await console.visitor().login('viewer', 'password of viewer')).status, 401)
  t.equal((await console.visitor().login('viewer', made)).status, 303)
})

test('everybody changes their own password, knowing the old one; their other sessions end', async t => {
  await using console = await openConsole()
  const here = await console.as('viewer')
  const there = console.visitor()
  await there.login('viewer', 'password of viewer')
  const change = (old: string, password: string, repeat = password) =>
    here.act('/account/password', { old, password, repeat })
  t.equal((await change('wrong', 'a new password')).status, 401)
  t.equal((await change('password of viewer', 'short')).status, 400)
  t.equal((await change('password of viewer', 'a new password', 'another password')).status, 400)
  t.equal((await there.get('/')).status, 200, 'nothing has happened yet')
  t.equal((await change('password of viewer', 'a new password')).location, '/account')
  t.equal((await here.get('/')).status, 200)
  t.equal((await there.get('/')).status, 303)
  t.equal((await console.visitor().login('viewer', 'a new password')).status, 303)
  t.equal((await console.visitor().login('viewer', 'password of viewer')).status, 401)
})

test('wrong old passwords count as tries to log in', async t => {
  await using console = await openConsole()
  const one = await console.as('viewer')
  for (let attempt = 0; attempt < 10; attempt++)
    await one.act('/account/password', { old: 'wrong', password: 'a new password', repeat: 'a new password' })
  t.equal(
    (
      await one.act('/account/password', {
        old: 'password of viewer',
        password: 'a new password',
        repeat: 'a new password',
      })
    ).status,
    429,
  )
})

test('a second start makes no second administrator, and does not bring a removed one back', async t => {
  await using console = await openConsole()
  const admin = await console.as('admin')
  await admin.act('/users/create', { name: 'second', role: 'admin', password: 'password of second' })
  const second = console.visitor()
  await second.login('second', 'password of second')
  t.equal((await second.act('/users/remove', { name: 'admin' })).status, 303)
  await console.restart()
  t.equal((await console.visitor().login('admin', adminPassword)).status, 401)
  t.equal((await console.visitor().login('second', 'password of second')).status, 303)
})
