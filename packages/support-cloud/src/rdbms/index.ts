export type { Database, Queryable, Statement } from './database.js'
export { quotedName } from './identifier.js'
export { type Migration, type MigrationSet, migrate } from './migration.js'
export { type PgDatabaseOptions, pgDatabase, sqlState } from './pg-database.js'
export { findPostgres } from './postgres-engine.js'
export { type PostgresOptions, type RunningPostgres, startPostgres } from './postgres-server.js'
export {
  cloneDatabase,
  createDatabase,
  createRole,
  dropDatabase,
  ensureTemplate,
  provisionDatabase,
} from './provision.js'
export { systemSearchPath } from './system-postgres.js'
