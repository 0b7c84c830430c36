import type { CloudwareState } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, MigrationSet, Queryable } from '@aaas/support-cloud/rdbms'

export const cloudwareStateMigrations: MigrationSet = {
  owner: 'site-cloud/cloudware-state',
  migrations: [
    {
      level: 1,
      name: 'state of packages',
      up: `create table cloudware_state (
        package text not null, key text not null, value jsonb not null, updated_at timestamptz not null default now(),
        primary key (package, key));
      create table cloudware_once (
        package text not null, key text not null, once text not null, at timestamptz not null default now(),
        primary key (package, key, once))`,
    },
  ],
}

const maxValueBytes = 64 * 1024
const maxKeyLength = 512

/** Keeps what cloudware remembers in the site's own database, apart by package name. */
export function sqlCloudwareState(options: {
  readonly database: Database
  readonly packageName: string
}): CloudwareState {
  const { database, packageName } = options
  const add = async (db: Queryable, key: string, by: number): Promise<number> => {
    if (!Number.isSafeInteger(by))
      throw new CloudError('core.contract.invalid-input', 'increments are integers', { field: 'by' })
    const rows = await db.query<{ value: number }>({
      text: `insert into cloudware_state as s (package, key, value) values ($1, $2, to_jsonb($3::bigint))
        on conflict (package, key) do update set value = to_jsonb((s.value #>> '{}')::bigint + $3), updated_at = now()
        where jsonb_typeof(s.value) = 'number' returning (value #>> '{}')::bigint as value`,
      values: [packageName, checkedKey(key), by],
    })
    const value = rows[0]?.value
    if (value === undefined)
      throw new CloudError('core.contract.invalid-input', `${key} holds something that is no integer`, { field: 'key' })
    return value
  }
  return {
    async get(key) {
      const rows = await database.query<{ value: unknown }>({
        text: 'select value from cloudware_state where package = $1 and key = $2',
        values: [packageName, checkedKey(key)],
      })
      return rows[0]?.value
    },
    async put(key, value) {
      const text = JSON.stringify(value)
      if (text === undefined)
        throw new CloudError('core.contract.invalid-input', 'state must be a JSON value', { field: 'value' })
      if (Buffer.byteLength(text) > maxValueBytes) {
        throw new CloudError('core.contract.payload-too-large', `a state value may have ${maxValueBytes} bytes`, {
          field: 'value',
        })
      }
      await database.query({
        text: `insert into cloudware_state(package, key, value) values ($1, $2, $3)
          on conflict (package, key) do update set value = excluded.value, updated_at = now()`,
        values: [packageName, checkedKey(key), text],
      })
    },
    async increment(key, by) {
      return add(database, key, by)
    },
    async incrementOnce(key, by, once) {
      if (once.length < 1 || once.length > 200) {
        throw new CloudError('core.contract.invalid-input', 'once has 1 to 200 characters', { field: 'once' })
      }
      await database.transaction(async tx => {
        const marked = await tx.query({
          text: 'insert into cloudware_once(package, key, once) values ($1, $2, $3) on conflict do nothing returning once',
          values: [packageName, checkedKey(key), once],
        })
        if (marked.length > 0) await add(tx, key, by)
      })
      const rows = await database.query<{ value: number }>({
        text: `select (value #>> '{}')::bigint as value from cloudware_state where package = $1 and key = $2`,
        values: [packageName, key],
      })
      return rows[0]?.value ?? 0
    },
  }
}

function checkedKey(key: string): string {
  if (key.length >= 1 && key.length <= maxKeyLength) return key
  throw new CloudError('core.contract.invalid-input', `a key has 1 to ${maxKeyLength} characters`, { field: 'key' })
}
