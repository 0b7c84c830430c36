import { setTimeout as wait } from 'node:timers/promises'

/** For what never happens: no promise about how long something takes, so generous towards busy machines. */
const boundMs = 60_000

/**
 * Waits for what another process or the operating system brings about by itself, and nothing announces.
 * @param what - for the error when it has not happened within a minute.
 */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + boundMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`)
    await wait(5)
  }
}
