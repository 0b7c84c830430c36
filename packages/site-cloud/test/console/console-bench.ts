import { PasswordHasher } from '@aaas/business-cloud/party'
import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import { type AuditEntry, createConsole } from '../../src/console/index.js'
import { controlMigrations } from '../../src/site-center/control-migrations.js'
import { type Call, memoryCenter } from './memory-center.js'

export const adminPassword = 'first password of admin'
const origin = 'http://console.test'

/** A browser without JavaScript: keeps cookies, follows nothing. */
class Visitor {
  readonly #cookies = new Map<string, string>()

  constructor(readonly fetch: (request: Request) => Promise<Response>) {}

  async get(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send(path, { headers })
  }

  /** Posts a form with the headers a browser sends. */
  async post(
    path: string,
    fields: Record<string, string> | [string, string][],
    headers: Record<string, string> = {},
  ): Promise<Page> {
    const body = new URLSearchParams(fields).toString()
    return this.#send(path, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin, ...headers },
    })
  }

  /** The form token of the session. */
  async csrf(): Promise<string> {
    const { text } = await this.get('/account')
    const [, token = ''] = /name="csrf" value="([^"]+)"/.exec(text) ?? []
    return token
  }

  async login(name: string, password: string): Promise<Page> {
    return this.post('/login', { name, password, next: '/' })
  }

  /** Posts with the right token. */
  async act(path: string, fields: Record<string, string> = {}): Promise<Page> {
    return this.post(path, { csrf: await this.csrf(), ...fields })
  }

  async #send(path: string, init: RequestInit & { headers: Record<string, string> }): Promise<Page> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const request = new Request(origin + path, {
      ...init,
      headers: { host: 'console.test', ...(cookie ? { cookie } : {}), ...init.headers },
    })
    const response = await this.fetch(request)
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/max-age=0/i.test(line)) this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
    return {
      status: response.status,
      headers: response.headers,
      text: await response.text(),
      location: response.headers.get('location') ?? '',
    }
  }
}

interface Page {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly location: string
}

export interface ConsoleBench extends AsyncDisposable {
  readonly clock: ManualClock
  readonly calls: Call[]
  readonly audit: AuditEntry[]
  visitor(): Visitor
  /** A new console on the same database, as after a restart of control. */
  restart(): Promise<void>
  /** A visitor who is logged in as a new user of a role. */
  as(role: 'admin' | 'operator' | 'viewer'): Promise<Visitor>
}

/** A console on a real database with a site centre in memory. */
export async function openConsole(): Promise<ConsoleBench> {
  const test = await openTestDatabase()
  const database = pgDatabase({ url: test.url, maxConnections: 3 })
  await migrate(database, [controlMigrations])
  const clock = new ManualClock(1_700_000_000_000)
  const { center, calls } = memoryCenter()
  const audit: AuditEntry[] = []
  const ids = systemIds()
  const options = {
    database,
    center,
    adminPassword,
    passwords: new PasswordHasher({ ids, cost: { N: 1024, r: 8, p: 1 } }),
    clock,
    ids,
    logger: silentLogger,
    audit: async (entry: AuditEntry) => void audit.push(entry),
  }
  let app = await createConsole(options)
  const visitor = (): Visitor => new Visitor(request => app.fetch(request))
  return {
    clock,
    calls,
    audit,
    visitor,
    async restart() {
      app = await createConsole(options)
    },
    async as(role) {
      const admin = visitor()
      await admin.login('admin', adminPassword)
      if (role === 'admin') return admin
      await admin.act('/users/create', { name: role, role, password: `password of ${role}` })
      const one = visitor()
      await one.login(role, `password of ${role}`)
      calls.length = 0
      return one
    },
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await test[Symbol.asyncDispose]()
    },
  }
}
