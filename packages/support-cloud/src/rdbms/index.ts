export type { Database, Queryable, Statement } from './database.js'
export { type Migration, type MigrationSet, migrate } from './migration.js'
export { type PgDatabaseOptions, pgDatabase, sqlState } from './pg-database.js'
