export { type BackupInfo, backupCluster, type RestoreOptions, readBackup, restoreCluster } from './cluster-backup.js'
export { type ConnectionBudget, connectionBudget } from './connection-budget.js'
export { ConnectionPool, type PoolConnection } from './connection-pool.js'
export type { Database, Queryable, Statement } from './database.js'
export { changedUrl, type DatabaseHosts, databaseHosts, type SessionTarget } from './database-url.js'
export { quotedName } from './identifier.js'
export { type LeasePort, processLease } from './lease-port.js'
export { type ListenOptions, listen } from './listen.js'
export { type Migration, type MigrationSet, migrate } from './migration.js'
export { checkMigrations, type MigrationFlaw, migrationFlaws } from './migration-check.js'
export { type PgDatabaseOptions, pgDatabase, sqlState } from './pg-database.js'
export { pgTypes } from './pg-types.js'
export { findPostgres } from './postgres-engine.js'
export { type PostgresOptions, type RunningPostgres, startPostgres } from './postgres-server.js'
export {
  cloneDatabase,
  copyDatabase,
  createDatabase,
  createRole,
  dropDatabase,
  ensureTemplate,
  provisionDatabase,
} from './provision.js'
export {
  type ReplicatedPostgres,
  type ReplicatedPostgresOptions,
  type ReplicatedStatus,
  startReplicatedPostgres,
} from './replicated-postgres.js'
export { runningServerUrl } from './running-server.js'
export { systemSearchPath } from './system-postgres.js'
