import { memoryBus } from '@aaas/core-cloud/bus'
import { systemClock } from '@aaas/core-cloud/kernel'

const clock = systemClock({ keepAlive: true })
const bus = memoryBus({ clock })
const greet = async call => call.respond(Buffer.from(`Hello, ${call.subject.slice(6)}!`))
await bus.subscribe('greet.*', greet, { queue: 'greeters' })
const answer = await bus.request('greet.Ada', Buffer.alloc(0), { deadline: clock.now() + 1_000 })
console.log(Buffer.from(answer.payload).toString())
await bus[Symbol.asyncDispose]()
