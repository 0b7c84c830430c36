import { readFileSync } from 'node:fs'
import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { testCertificate } from '@aaas/testing'
import { nkeys } from '@nats-io/transport-node'
import { type Test, test } from 'tap'
import { type NatsAuth, type NatsBusOptions, natsBus } from '../../../src/bus/nats/nats-bus.js'
import { busOf, bytes, clock, recordingLogger, serversOf, skipNats, soon, text } from '../fixture/nats-bus.js'

const decode = (seed: Uint8Array): string => Buffer.from(seed).toString()

/** A JWT as NATS signs them: ed25519 over header and claims. */
function jwt(signer: nkeys.KeyPair, subject: string, name: string, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { jti: name, iat: 1_700_000_000, iss: signer.getPublicKey(), name, sub: subject, nats }
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`
  return `${text}.${Buffer.from(signer.sign(Buffer.from(text))).toString('base64url')}`
}

async function works(t: Test, config: string, auth: NatsAuth, wrong: NatsAuth): Promise<void> {
  const servers = await serversOf(t, { config })
  const bus = await busOf(t, servers, { auth })
  await bus.subscribe('x', async message => message.respond?.(message.payload))
  t.equal(text(await bus.request('x', bytes('in'), { deadline: soon() })), 'in')
  const { logger, lines } = recordingLogger()
  const options = { servers: servers.urls, clock, ids: systemIds(), logger }
  for (const bad of [{ ...options, auth: wrong }, options]) {
    const error = await natsBus(bad).then(
      () => undefined,
      (reason: unknown) => reason as Error & { code: string },
    )
    t.equal(error?.code, 'core.bus.refused')
    const said = `${JSON.stringify(lines)} ${error?.message} ${error?.stack} ${JSON.stringify(error)}`
    for (const secret of Object.values(wrong)) t.notOk(said.includes(secret as string), 'no secret is shown')
  }
}

test('a token', { skip: skipNats }, async t => {
  await works(t, 'authorization { token: "right-token" }', { token: 'right-token' }, { token: 'wrong-token' })
})

test('a name and a password', { skip: skipNats }, async t => {
  const config = 'authorization { user: ann, password: "right-word" }'
  await works(t, config, { user: 'ann', password: 'right-word' }, { user: 'ann', password: 'wrong-word' })
})

test('an nkey', { skip: skipNats }, async t => {
  const user = nkeys.createUser()
  const config = `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`
  const wrong = { nkeySeed: decode(nkeys.createUser().getSeed()) }
  await works(t, config, { nkeySeed: decode(user.getSeed()) }, wrong)
})

test('a JWT, and one in the text of a creds file', { skip: skipNats }, async t => {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()]
  const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
  const accountJwt = jwt(operator, account.getPublicKey(), 'account', {
    limits: unlimited,
    type: 'account',
    version: 2,
  })
  const limits = { subs: -1, data: -1, payload: -1 }
  const userJwt = jwt(account, user.getPublicKey(), 'user', { ...limits, type: 'user', version: 2 })
  const config = [
    `operator: ${jwt(operator, operator.getPublicKey(), 'operator', { type: 'operator', version: 2 })}`,
    'resolver: MEMORY',
    `resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`,
  ].join('\n')
  const nkeySeed = decode(user.getSeed())
  await works(t, config, { jwt: userJwt, nkeySeed }, { jwt: userJwt, nkeySeed: decode(nkeys.createUser().getSeed()) })
  const creds = [
    '-----BEGIN NATS USER JWT-----',
    userJwt,
    '------END NATS USER JWT------',
    '',
    '-----BEGIN USER NKEY SEED-----',
    nkeySeed,
    '------END USER NKEY SEED------',
    '',
  ].join('\n')
  const servers = await serversOf(t, { config })
  const bus = await busOf(t, servers, { auth: { creds } })
  await bus.publish('x', bytes(''))
})

test('TLS with an authority of our own', { skip: skipNats }, async t => {
  const servers = await serversOf(t, {
    config: folder => {
      const { cert, key } = testCertificate(folder)
      return `tls { cert_file: '${cert}', key_file: '${key}' }`
    },
  })
  const ca = readFileSync(`${servers.folder}/ca.pem`, 'utf8')
  const bus = await busOf(t, servers, { tls: { ca } })
  await bus.subscribe('x', async message => message.respond?.(message.payload))
  t.equal(text(await bus.request('x', bytes('in'), { deadline: soon() })), 'in')
  const options: NatsBusOptions = {
    servers: servers.urls,
    clock,
    ids: systemIds(),
    logger: silentLogger,
    limits: { connectMs: 300 },
  }
  await t.rejects(natsBus(options), { code: 'core.bus.disconnected' }, 'an authority that is not known')
})

test('subjects that the account does not allow', { skip: skipNats }, async t => {
  const servers = await serversOf(t, {
    config: `authorization { users: [{
      user: u, password: p,
      permissions: { publish: { deny: ["no.>"] }, subscribe: { deny: ["no.>"] } }
    }] }`,
  })
  const bus = await busOf(t, servers, { auth: { user: 'u', password: 'p' } })
  const refused = { code: 'core.bus.refused', field: 'subject' }
  await t.rejects(bus.publish('no.a', bytes('')), refused)
  await t.rejects(
    bus.subscribe('no.a', () => undefined),
    refused,
  )
  await t.rejects(bus.request('no.a', bytes(''), { deadline: soon() }), refused)
  await bus.publish('yes.a', bytes(''))
})

test('bad options are named', { skip: skipNats }, async t => {
  const invalid = 'core.kernel.invalid-config'
  const good: NatsBusOptions = { servers: 'nats://127.0.0.1:1', clock, ids: systemIds(), logger: silentLogger }
  const cases: readonly (readonly [Partial<NatsBusOptions>, string])[] = [
    [{ servers: [] }, 'servers'],
    [{ servers: 'http://x' }, 'servers'],
    [{ servers: 'nats://user:secret@127.0.0.1:4222' }, 'servers'],
    [{ inboxPrefix: 'a b' }, 'inboxPrefix'],
    [{ limits: { maxPending: 0 } }, 'limits/maxPending'],
    [{ batch: { maxCalls: 1_025 } }, 'batch/maxCalls'],
    [{ batch: { maxBytes: 0 } }, 'batch/maxBytes'],
    [{ plain: ['a b'] }, 'plain/0'],
  ]
  for (const [change, field] of cases) {
    await t.rejects(natsBus({ ...good, ...change }), { code: invalid, field }, field)
  }
  await t.rejects(natsBus({ ...good, limits: { connectMs: 100 } }), { code: 'core.bus.disconnected', retryable: true })
})
