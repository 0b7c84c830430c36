/** What a code means to callers. `status` is the HTTP status of the open API. */
export interface ErrorCodeEntry {
  readonly status: number
  /** True when the same call may succeed later without a change. */
  readonly retryable?: boolean
  /** One sentence for the docs page. */
  readonly text: string
}
export type ErrorCodeTable = Readonly<Record<string, ErrorCodeEntry>>
