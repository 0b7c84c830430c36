import type { Clock } from '../kernel/clock.js'
import type { Bus, BusMessage } from './bus.js'

/** What a driver gives the suite for one test. */
export interface BusFixture extends AsyncDisposable {
  /** Clock of the buses; deadlines count on it. */
  readonly clock: Clock
  /** Moves that clock. */
  passTime(ms: number): Promise<void>
  /** A further bus that can reach every other one of this fixture. The fixture disposes it. */
  connect(): Promise<Bus>
}

export type SuiteTest = (name: string, fn: () => Promise<void>) => unknown

/** Two ends of one bus. */
interface Ends {
  readonly near: Bus
  readonly far: Bus
  readonly clock: Clock
  readonly passTime: (ms: number) => Promise<void>
  readonly connect: () => Promise<Bus>
}

/** A promise that a test settles by hand. */
export function gate<T = void>(): { readonly opened: Promise<T>; readonly open: (value: T) => void } {
  let open: (value: T) => void = () => undefined
  const opened = new Promise<T>(resolve => {
    open = resolve
  })
  return { opened, open }
}

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (message: { readonly payload: Uint8Array }): string => Buffer.from(message.payload).toString()
export const echo = async (message: BusMessage): Promise<void> => message.respond?.(message.payload)

/** Adds a test to the suite; one that needs separate ends is left out where there is only one bus. */
export type OnBus = (name: string, body: (ends: Ends) => Promise<void>, needs?: 'separate ends') => void
