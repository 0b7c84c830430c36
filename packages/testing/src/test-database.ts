import { Client, type ClientBase } from 'pg'

/** A fresh, empty database on the server that the test run started. */
export interface TestDatabase extends AsyncDisposable {
  /** A `postgres://` URL with rights to do everything in this database. */
  readonly url: string
}

/** URL of the administrator's database of the test run's server, or undefined when it has none. */
export function testServerUrl(): string | undefined {
  return process.env.AAAS_TEST_DATABASE_URL
}

let count = 0

/**
 * Creates a database for one test file, cloned from `template` when given.
 * @throws when the run has no server; start tests by `npm test -- FILE`, which brings one.
 */
export async function openTestDatabase(options: { readonly template?: string } = {}): Promise<TestDatabase> {
  const server = testServerUrl()
  if (server === undefined) throw new Error('no PostgreSQL for this test: run it by `npm test -- FILE`')
  count += 1
  const name = `test_${process.pid}_${count}`
  await asAdministrator(server, client =>
    client.query(`create database ${name}${options.template === undefined ? '' : ` template ${options.template}`}`),
  )
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      await asAdministrator(server, client => client.query(`drop database if exists ${name} with (force)`))
    },
  }
}

async function asAdministrator(url: string, work: (client: ClientBase) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
