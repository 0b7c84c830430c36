import type { TraceFacts } from './trace.js'

/** Where a call is seen: in its own process, at the bus, at the HTTP API. */
export type CallSurface = 'local' | 'bus' | 'http'

/** One method at one surface. */
export interface ObservedOperation {
  readonly contract: string
  readonly version: string
  readonly method: string
  readonly surface: CallSurface
  /** Who looks: the end that calls, or the end that serves. A local call is seen once, as served. */
  readonly side: 'client' | 'server'
}

/** Sees the calls of a process. */
export interface CallObserver {
  /** Asked once per method when a surface is built, so that nothing has to be looked up during a call. */
  operation(operation: ObservedOperation): OperationObserver
}

/**
 * Sees the calls of one method. Both functions are on the hot path: they must not throw, and should not allocate when
 * nobody traces.
 */
export interface OperationObserver {
  /** A call begins. @param parent - what the caller says it is part of. @returns undefined: nobody traces. */
  begin(parent: TraceFacts | undefined): CallSpan | undefined
  /** @param durationMs - on the monotonic clock. @param code - of the error it ended with; undefined: it went well. */
  end(durationMs: number, code: string | undefined, span: CallSpan | undefined): void
}

/** A span of a tracing system. */
export interface CallSpan {
  /** For nested calls and for the other side. */
  readonly trace: TraceFacts
  /** Runs something so that spans it makes are children of this one. */
  within<T>(run: () => T): T
}

/** An observer of several; undefined when there is none. */
export function observers(...all: readonly (CallObserver | undefined)[]): CallObserver | undefined {
  const present = all.filter(observer => observer !== undefined)
  if (present.length <= 1) return present[0]
  return {
    operation(operation) {
      const parts = present.map(observer => observer.operation(operation))
      return {
        // Only one may say what the span is: the first that traces.
        begin(parent) {
          for (const part of parts) {
            const span = part.begin(parent)
            if (span !== undefined) return owned(span, part)
          }
          return undefined
        },
        end(durationMs, code, span) {
          for (const part of parts) {
            const own = span !== undefined && 'owner' in span && span.owner === part
            part.end(durationMs, code, own ? (span as OwnedSpan).span : undefined)
          }
        },
      }
    },
  }
}

interface OwnedSpan extends CallSpan {
  readonly span: CallSpan
  readonly owner: OperationObserver
}

function owned(span: CallSpan, owner: OperationObserver): OwnedSpan {
  return { span, owner, trace: span.trace, within: run => span.within(run) }
}
