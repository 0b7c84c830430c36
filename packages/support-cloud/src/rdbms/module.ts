import { ContainerModule, type ServiceIdentifier } from 'inversify'
import type { Database } from './database.js'
import { type PgDatabaseOptions, pgDatabase } from './pg-database.js'

export const DatabaseToken = Symbol.for('@aaas/support-cloud/Database') as ServiceIdentifier<Database>

/** Binds Database: a pool that opens at the first query and ends with `container.unbindAllAsync()`. */
export function rdbmsModule(options: PgDatabaseOptions): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(DatabaseToken)
      .toResolvedValue(() => pgDatabase(options), [])
      .inSingletonScope()
      .onDeactivation(async database => database[Symbol.asyncDispose]())
  })
}
