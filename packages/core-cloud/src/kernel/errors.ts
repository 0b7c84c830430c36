import { type ErrorCode, errorCodeEntry } from './error-codes.js'

const marker = Symbol.for('@aaas/core-cloud/CloudError')

/** Structured facts of an error; JSON values only, never secrets. */
export type ErrorDetails = Readonly<Record<string, unknown>>

export interface CloudErrorOptions extends ErrorOptions {
  /** Path of the bad value, such as `lines/0/quantity`. */
  readonly field?: string
  readonly details?: ErrorDetails
  /** Overrides the default of the code. */
  readonly retryable?: boolean
}

/** The form in which an error crosses a process or HTTP boundary. */
export interface ErrorBody {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly field?: string
  readonly details?: ErrorDetails
}

/**
 * Every error this platform throws on purpose. Match on `code`, never on `message`.
 * Use {@link CloudError.is} instead of `instanceof`: cloudware may load its own copy of this package.
 */
export class CloudError extends Error {
  override readonly name = 'CloudError'
  readonly retryable: boolean
  declare readonly field?: string
  declare readonly details?: ErrorDetails

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: CloudErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.retryable = options.retryable ?? errorCodeEntry(code)?.retryable ?? false
    if (options.field !== undefined) this.field = options.field
    if (options.details !== undefined) this.details = options.details
    Object.defineProperty(this, marker, { value: true })
  }

  /** HTTP status of the code. */
  get status(): number {
    return errorCodeEntry(this.code)?.status ?? 500
  }

  toJSON(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.field === undefined ? {} : { field: this.field }),
      ...(this.details === undefined ? {} : { details: this.details }),
    }
  }

  /** True for a CloudError of any copy of this package, optionally of one code. */
  static is(value: unknown, code?: ErrorCode): value is CloudError {
    return (
      value instanceof Error &&
      marker in value &&
      (code === undefined || (value as unknown as CloudError).code === code)
    )
  }

  /** @returns the value itself when it is a CloudError, else `core.kernel.internal` with the value as cause. */
  static from(value: unknown): CloudError {
    if (CloudError.is(value)) return value
    const text = value instanceof Error ? value.message : String(value)
    return new CloudError('core.kernel.internal', text, { cause: value })
  }

  /**
   * Rebuilds an error that came over a wire. A code of a newer peer that this version does not know
   * becomes `core.contract.remote-error` with the original code in `details.code`.
   */
  static fromBody(body: ErrorBody): CloudError {
    const known = errorCodeEntry(body.code) !== undefined
    return new CloudError(known ? (body.code as ErrorCode) : 'core.contract.remote-error', body.message, {
      retryable: body.retryable,
      ...(body.field === undefined ? {} : { field: body.field }),
      ...(known
        ? body.details === undefined
          ? {}
          : { details: body.details }
        : { details: { ...body.details, code: body.code } }),
    })
  }
}
