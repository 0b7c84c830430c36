// Main of the control process. The launcher forks it, sends the options as the first message and waits for `started`.
import { CloudError, systemClock, systemIds, systemLogger } from '@aaas/core-cloud/kernel'
import { type ControlHandle, type ControlOptions, startControl } from './control-process.js'

const logger = systemLogger({ fields: { component: 'control' } })
let control: ControlHandle | undefined
let stopping = false

async function stop(code: number): Promise<void> {
  if (stopping) return
  stopping = true
  try {
    await control?.[Symbol.asyncDispose]()
  } catch (error) {
    logger.error('control did not stop cleanly', { error })
  }
  process.exit(code)
}

process.once('message', ({ options }: { type: 'start'; options: ControlOptions }) => {
  startControl({ ...options, clock: systemClock({ keepAlive: true }), ids: systemIds(), logger }).then(
    started => {
      control = started
      process.send?.({ type: 'started', consolePort: started.consolePort })
    },
    (error: unknown) => {
      logger.error('control cannot start', { error })
      process.send?.({ type: 'failed', error: CloudError.from(error).toJSON() }, () => process.exit(1))
    },
  )
})
// The launcher is gone, however it went: nothing may stay behind.
process.once('disconnect', () => void stop(0))
process.once('SIGTERM', () => void stop(0))
// Ctrl-C reaches the whole foreground group; the launcher decides the order of the stop.
process.on('SIGINT', () => undefined)
process.on('unhandledRejection', error => {
  logger.error('unhandled rejection', { error })
})
