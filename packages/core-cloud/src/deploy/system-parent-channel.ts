import type { ParentChannel } from './instance-messages.js'

/** The channel of this process to the one that forked it. */
export function systemParentChannel<In, Out>(): ParentChannel<In, Out> {
  // Ctrl-C reaches the whole process group; what to do about it is for the parent to say.
  process.on('SIGINT', () => undefined)
  // With the parent gone its ends of the pipes are gone too; that alone must not end us before we have finished.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  return {
    send(message) {
      return new Promise(resolve => {
        if (process.send === undefined || !process.connected) resolve()
        else process.send(message, () => resolve())
      })
    },
    onMessage(listener) {
      process.on('message', message => listener(message as In))
    },
    onGone(listener) {
      process.on('disconnect', listener)
      // Who sends this signal by hand wants the same clean end.
      process.on('SIGTERM', listener)
      if (!process.connected) listener()
    },
  }
}
