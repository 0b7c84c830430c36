import { CloudError } from '../../kernel/errors.js'
import { maxPayloadBytes } from '../link.js'
import { isPattern } from '../subject.js'
import { checkLimits, type TenantLimits } from './quota-limits.js'

/** Somebody who may connect for a tenant: by password (plain, or its bcrypt hash) or by the public part of an nkey. */
export type NatsUser = ({ readonly user: string; readonly password: string } | { readonly nkey: string }) & {
  /** Patterns; absent: everything in the account. */
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
}

export interface NatsTenant {
  /** Name of its account: `A-Z a-z 0-9 _ -`, at most 64. */
  readonly name: string
  readonly limits: TenantLimits
  readonly users: readonly NatsUser[]
  /** Connections at a time; default no limit of its own. */
  readonly maxConnections?: number
  /** Streams and buckets together, dead letters included; default 64. */
  readonly maxStreams?: number
  /** Default 1_024. */
  readonly maxConsumers?: number
}

const accountForm = /^[A-Za-z0-9_-]{1,64}$/
const userForm = /^[A-Za-z0-9_.@:-]{1,128}$/
/** Printable, and nothing that ends or escapes a quoted string. */
const secretForm = /^(?!\$)[\x20\x21\x23-\x5b\x5d-\x7e]{1,256}$/
const nkeyForm = /^U[A-Z2-7]{55}$/

/**
 * Renders the `accounts` block of a nats-server configuration, one account a tenant: its subjects are its own, and the
 * server enforces what it can. `subscriptions` becomes `max_subscriptions`, which the server counts per connection;
 * `streamBytes` becomes `max_file` (absent: as much as the server has; 0: no streams); payloads are bounded as
 * everywhere. The server knows no rates and no calls in flight: put `quotaBus` around the bus of programs you run, and
 * give hostile tenants a hub instead.
 * @throws CloudError `core.kernel.invalid-config` with the wrong field: a name, a password with quotes, a limit.
 */
export function natsAccounts(tenants: readonly NatsTenant[]): string {
  const names = new Set<string>()
  const blocks = tenants.map((tenant, index) => {
    const field = `tenants/${index}`
    if (!accountForm.test(tenant.name) || names.has(tenant.name) || tenant.name === 'SYS')
      throw wrong(`${field}/name`, 'an account needs a name of its own')
    names.add(tenant.name)
    checkLimits(tenant.limits)
    return accountOf(tenant, field)
  })
  return `accounts {\n${blocks.join('')}}\n`
}

function accountOf(tenant: NatsTenant, field: string): string {
  const { limits, maxConnections, maxStreams = 64, maxConsumers = 1_024 } = tenant
  const bounds = [
    ...(maxConnections === undefined ? [] : [`max_connections: ${count(maxConnections, `${field}/maxConnections`)}`]),
    ...(limits.subscriptions === undefined ? [] : [`max_subscriptions: ${limits.subscriptions}`]),
    `max_payload: ${maxPayloadBytes + 32_768}`,
  ]
  const streams = [
    'max_mem: 0',
    ...(limits.streamBytes === undefined ? [] : [`max_file: ${limits.streamBytes}`]),
    `max_streams: ${count(maxStreams, `${field}/maxStreams`)}`,
    `max_consumers: ${count(maxConsumers, `${field}/maxConsumers`)}`,
  ]
  const users = tenant.users.map((user, index) => `      ${userOf(user, `${field}/users/${index}`)}\n`)
  return [
    `  "${tenant.name}": {\n`,
    `    users: [\n${users.join('')}    ]\n`,
    // A limit of 0 bytes means none at all: who may keep nothing has no streams.
    limits.streamBytes === 0 ? '    jetstream: disabled\n' : `    jetstream: { ${streams.join(', ')} }\n`,
    `    limits: { ${bounds.join(', ')} }\n`,
    '  }\n',
  ].join('')
}

function userOf(user: NatsUser, field: string): string {
  const rights = (['publish', 'subscribe'] as const).flatMap(kind => {
    const patterns = user[kind]
    if (patterns === undefined) return []
    if (!patterns.every(pattern => isPattern(pattern) || /^(\$JS\.|\$SRV\.|_INBOX\.)[A-Za-z0-9_.*>-]+$/.test(pattern)))
      throw wrong(`${field}/${kind}`, 'a pattern is malformed')
    return [`${kind}: { allow: [${patterns.map(pattern => `"${pattern}"`).join(', ')}] }`]
  })
  const permissions = rights.length === 0 ? '' : `, permissions: { ${rights.join(', ')} }`
  if ('nkey' in user) {
    if (!nkeyForm.test(user.nkey)) throw wrong(`${field}/nkey`, 'not the public part of a user nkey')
    return `{ nkey: ${user.nkey}${permissions} }`
  }
  if (!userForm.test(user.user)) throw wrong(`${field}/user`, 'a user name has 1 to 128 of A-Z a-z 0-9 _ . @ : -')
  const bcrypt = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/.test(user.password)
  if (!bcrypt && !secretForm.test(user.password))
    throw wrong(`${field}/password`, 'a password is printable ASCII without quotes, backslashes and a leading $')
  return `{ user: "${user.user}", password: "${user.password}"${permissions} }`
}

function count(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 1 || value > 1e9) throw wrong(field, 'a whole number from 1 to 1000000000')
  return value
}

function wrong(field: string, text: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `${field}: ${text}`, { field })
}
