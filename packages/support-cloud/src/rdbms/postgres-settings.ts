import { CloudError } from '@aaas/core-cloud/kernel'

/** Settings of the server by their names, as in `postgresql.conf`. */
export type ServerSettings = Readonly<Record<string, string | number>>

/** Access and durability are not up for choice: what was acknowledged is on the disk, and strangers stay out. */
const settled = new Set([
  ...['listen_addresses', 'unix_socket_directories', 'port', 'password_encryption', 'data_directory', 'hba_file'],
  ...['fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'wal_level', 'ident_file'],
  ...['primary_conninfo', 'primary_slot_name', 'archive_mode', 'archive_command', 'restore_command', 'config_file'],
])

/** @throws CloudError `core.kernel.invalid-config` with the field. */
export function checkSettings(settings: ServerSettings): void {
  for (const [name, value] of Object.entries(settings)) {
    const reason = settled.has(name)
      ? "is the launcher's own"
      : !/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$/.test(name)
        ? 'is not the name of a setting'
        : String(value).includes('\0') || String(value).length > 1_000
          ? 'has an impossible value'
          : undefined
    if (reason !== undefined) {
      throw new CloudError('core.kernel.invalid-config', `setting '${name.slice(0, 80)}' ${reason}`, {
        field: `settings/${name.slice(0, 80)}`,
      })
    }
  }
}

/**
 * Settings for one small machine that many processes share; durability is never traded. Given on the command line,
 * so that each start has today's, whatever a file in the data directory says.
 */
export function postgresSettings(major: number, further: ServerSettings = {}): readonly string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: '',
    // The socket lies in the data directory (0700): the server's working folder, whatever path leads there.
    unix_socket_directories: '.',
    port: 5432,
    password_encryption: 'scram-sha-256',
    timezone: 'UTC',
    log_timezone: 'UTC',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    shared_buffers: '64MB',
    max_connections: 100,
    effective_cache_size: '512MB',
    work_mem: '4MB',
    maintenance_work_mem: '64MB',
    random_page_cost: 1.1,
    // A short query pays more for compiling than it gains, and the compiler costs memory in each session.
    jit: 'off',
    max_parallel_workers_per_gather: 0,
    // Idle wake-ups: no replication, a lazy background writer. Dirty pages then wait for the checkpoint.
    bgwriter_delay: '10s',
    max_logical_replication_workers: 0,
    autovacuum_naptime: '60s',
    autovacuum_max_workers: 2,
    wal_compression: 'on',
    min_wal_size: '64MB',
    max_wal_size: '512MB',
    // A session that sleeps in a transaction holds locks and vacuum back.
    idle_in_transaction_session_timeout: '60s',
    // Refused statements are the callers' business and told to them; the log is for the server's own troubles.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
    log_line_prefix: '%m [%p] ',
  }
  // From 18 reads go through three processes by default; on two cores they cost memory and gain nothing.
  if (major >= 18) settings.io_method = 'sync'
  Object.assign(settings, further)
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
