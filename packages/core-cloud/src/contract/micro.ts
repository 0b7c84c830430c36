import type { ServedContract } from './bus-server.js'

/** A request to the directory, as a driver hands it on. */
export interface DirectoryMessage {
  /** May be called several times: every instance of this process answers for itself. */
  respond(payload: Uint8Array): void | Promise<void>
}

/**
 * Raw subscriptions at subjects that are not ours, such as `$SRV.PING`: the NATS driver has them. Plain, without a
 * queue: every subscriber gets every message. Resolves when the server has the subscription.
 */
export interface ServiceDirectory {
  subscribe(subject: string, handler: (message: DirectoryMessage) => void): Promise<{ drain(): Promise<void> }>
}

export interface MicroOptions {
  readonly directory: ServiceDirectory
  /** What {@link serveContract} gave. */
  readonly service: ServedContract
  /** One sentence for people; default the contract's name and its methods. */
  readonly description?: string
  /** Values must be short; keys and values go out as they are. */
  readonly metadata?: Readonly<Record<string, string>>
  /** The subject on the server of a subject of the bus; default the same. */
  readonly subjectOf?: (subject: string) => string
}

const verbs = ['PING', 'INFO', 'STATS'] as const
type Verb = (typeof verbs)[number]

/**
 * Answers the discovery requests of NATS services (ADR-32): `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, for all services,
 * for those of the name, and for this instance. The name is the contract's with `-` for dots. So `nats micro ls`, `info`
 * and `stats` show what runs. Dispose it before the contract is drained.
 */
export async function serveMicro(options: MicroOptions): Promise<AsyncDisposable> {
  const { directory, service } = options
  const name = microName(service)
  const subscriptions = await Promise.all(
    verbs.flatMap(verb =>
      [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${service.instance}`].map(subject =>
        directory.subscribe(subject, message => {
          // Nobody may wait any more; whoever asks again gets another answer.
          void Promise.resolve(message.respond(answerOf(verb, options))).catch(() => undefined)
        }),
      ),
    ),
  )
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(subscriptions.map(subscription => subscription.drain()))
    },
  }
}

function microName({ contract }: ServedContract): string {
  return contract.name.replaceAll('.', '-')
}

function answerOf(verb: Verb, options: MicroOptions): Uint8Array {
  const { service, metadata = {} } = options
  const { contract, instance } = service
  const identity = {
    type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
    name: microName(service),
    id: instance,
    version: contract.version,
    metadata: { 'aaas-contract': contract.name, ...metadata },
  }
  return Buffer.from(JSON.stringify({ ...identity, ...factsOf(verb, options) }))
}

function factsOf(verb: Verb, { service, description, subjectOf = subject => subject }: MicroOptions): object {
  const { contract, endpoints, startedAt } = service
  switch (verb) {
    case 'PING':
      return {}
    case 'INFO':
      return {
        description: description ?? `${contract.name}: ${Object.keys(contract.methods).join(', ')}`,
        endpoints: endpoints.map(({ name, subject, queue }) => ({
          name,
          subject: subjectOf(subject),
          queue_group: queue,
          metadata: { summary: contract.methods[name]?.summary ?? '' },
        })),
      }
    case 'STATS':
      return {
        started: new Date(startedAt).toISOString(),
        endpoints: endpoints.map(({ name, subject, queue, counters }) => {
          const { requests, errors, totalMs, lastError } = counters
          return {
            name,
            subject: subjectOf(subject),
            queue_group: queue,
            num_requests: requests,
            num_errors: errors,
            last_error: lastError,
            // Nanoseconds.
            processing_time: Math.round(totalMs * 1_000_000),
            average_processing_time: requests === 0 ? 0 : Math.round((totalMs * 1_000_000) / requests),
          }
        }),
      }
  }
}
