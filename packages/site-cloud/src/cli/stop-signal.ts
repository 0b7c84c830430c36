import { CloudError } from '@aaas/core-cloud/kernel'

/** Aborts when somebody asks the process to end. Asking again changes nothing: the stop has its own deadlines. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort(new CloudError('core.contract.cancelled', `stopped by ${signal}`)))
  }
  return stop.signal
}
