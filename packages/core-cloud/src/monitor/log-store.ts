import type { LogLevel, LogRecord } from '../kernel/logger.js'

/** A line of one instance. */
export interface StoredLogRecord extends LogRecord {
  readonly instance: string
}

export interface LogQuery {
  readonly site: string
  /** Only this instance. */
  readonly instance?: string
  /** Part of the message or of the fields' JSON text, any case. */
  readonly text?: string
  /** Least level. */
  readonly level?: LogLevel
  /** Epoch milliseconds, inclusive. */
  readonly since?: number
  /** Epoch milliseconds, exclusive. */
  readonly before?: number
  /** Records at most, 1 to 1_000. */
  readonly limit: number
}

export interface LogPage {
  /** Newest first; records of one millisecond of one instance in reverse order of writing. At most 4 MiB of text. */
  readonly records: readonly StoredLogRecord[]
  /** False when the search gave up at its limit of bytes read; older records may match too. */
  readonly complete: boolean
}

/**
 * Keeps what instances print, by site and instance, also after they died. Bounded: when an instance or a site has
 * more than the driver keeps, the oldest lines go.
 *
 * Site names match `[a-z0-9][a-z0-9-]{0,39}`, instance ids `[A-Za-z0-9][A-Za-z0-9-]{0,63}`; others are refused with
 * CloudError `core.kernel.invalid-config`.
 */
export interface LogStore extends AsyncDisposable {
  /**
   * Stores one line as the instance printed it, without its line end. A line that is a JSON object with `message`
   * keeps its `at`, `level` and other fields; any other line becomes the message of a record of level `info`
   * (`warn` for standard error) of now. A line is cut at 64 KiB. Never throws for what a line says; what cannot be
   * written is dropped and counted, because a full disk must not stop a site.
   */
  append(site: string, instance: string, line: string, stream?: 'stdout' | 'stderr'): void
  /** Says that an instance is dead; its lines stay, within the limit of the site. */
  close(site: string, instance: string): Promise<void>
  /** Sees every record appended before the call. */
  search(query: LogQuery): Promise<LogPage>
  /** Removes every line of a site. */
  remove(site: string): Promise<void>
  /** Lines that could not be kept since the start. */
  readonly dropped: number
}
