import type { Bus, BusMessage } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { type CallFacts, checkScope, type Operation, operationsOf, publicError, runCall } from './call.js'
import { decodeJson, encodeJson, errorAnswer, factsIn } from './call-headers.js'
import type { Contract, Handlers } from './contract.js'
import { checkInput } from './validation.js'

export interface ServeOptions<C extends Contract> {
  readonly bus: Bus
  readonly contract: C
  readonly handlers: Handlers<C>
  /** Subjects are `<prefix>.<contract name>.<method>`. */
  readonly prefix: string
  /** Instances with the same queue share the calls; each call runs once. Default: the contract's name. */
  readonly queue?: string
  readonly clock: Clock
  readonly logger: Logger
  /**
   * May this sender call this method as this actor? `sender` is what the hub stamped, undefined inside one process.
   * The actor is the sender's word: the hub vouches for the sender, not for whom it speaks.
   */
  readonly authorize?: (
    sender: string | undefined,
    method: string,
    actor: Actor | undefined,
  ) => boolean | Promise<boolean>
  /** Calls that run at a time, default 256. */
  readonly maxInFlight?: number
  /** Calls that wait behind those, default 4_096; beyond: `core.bus.overloaded`. */
  readonly maxQueued?: number
}

/** A contract on the bus. Disposing it is the same as draining it. */
export interface ServedContract extends AsyncDisposable {
  /** Takes no further call and resolves when the running ones are answered. */
  drain(): Promise<void>
}

/**
 * Serves a contract on the bus; ready when the promise resolves. Input is validated, the deadline of the caller holds
 * here too, and its cancellation aborts `context.signal`. A method with a scope needs it of the actor that the call names;
 * a call without an actor is the sender's own, which is for `authorize` to judge.
 */
export async function serveContract<C extends Contract>(options: ServeOptions<C>): Promise<ServedContract> {
  const { contract, prefix } = options
  const operations = operationsOf(contract, options.handlers)
  const place = `${prefix}.${contract.name}.`
  const subscription = await options.bus.subscribe(
    `${place}*`,
    message => serve(message, operations.get(message.subject.slice(place.length)), options),
    {
      queue: options.queue ?? contract.name,
      ...(options.maxInFlight === undefined ? {} : { maxInFlight: options.maxInFlight }),
      ...(options.maxQueued === undefined ? {} : { maxQueued: options.maxQueued }),
    },
  )
  return {
    drain: () => subscription.drain(),
    [Symbol.asyncDispose]: () => subscription.drain(),
  }
}

type Edge = Pick<ServeOptions<Contract>, 'authorize' | 'clock' | 'logger'>

async function serve(message: BusMessage, operation: Operation | undefined, edge: Edge): Promise<void> {
  // Something published to a method's subject is not a call: nobody waits for an answer.
  if (message.respond === undefined) return
  if (operation === undefined) {
    await answerError(
      message,
      new CloudError('core.contract.unknown-method', `there is no ${message.subject}`),
      unknownOperation,
      edge,
    )
    return
  }
  let result: Uint8Array
  try {
    const facts = factsFrom(message)
    checkScope(operation, facts.actor)
    if (edge.authorize !== undefined) await authorize(edge.authorize, message, operation, facts.actor)
    const input = readInput(message.payload, operation)
    result = encodeJson(await runCall(operation, input, facts, edge.clock))
  } catch (error) {
    await answerError(message, error, operation, edge)
    return
  }
  try {
    await message.respond(result)
  } catch (error) {
    // The answer is larger than a message may be.
    await answerError(message, error, operation, edge)
  }
}

const unknownOperation: Operation = {
  label: 'unknown',
  name: 'unknown',
  method: { summary: '', input: {}, output: {} },
  handler: () => Promise.resolve(undefined),
}

/** Who calls and until when. */
function factsFrom(message: BusMessage): CallFacts {
  const carried = factsIn(message.headers)
  return {
    traceId: carried.traceId ?? '',
    deadline: message.deadline ?? 0,
    tenant: message.sender ?? carried.tenant,
    actor: carried.actor,
    idempotencyKey: carried.idempotencyKey,
    handlerSignal: () => message.signal as AbortSignal,
  }
}

async function authorize(
  allows: NonNullable<Edge['authorize']>,
  message: BusMessage,
  operation: Operation,
  actor: Actor | undefined,
): Promise<void> {
  if (await allows(message.sender, operation.name, actor)) return
  throw new CloudError('core.contract.forbidden', `${message.sender ?? 'the caller'} may not call ${operation.label}`)
}

function readInput(payload: Uint8Array, operation: Operation): unknown {
  let input: unknown
  try {
    input = decodeJson(payload)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `${operation.label}: the input is not JSON`, {
      field: '',
      cause,
    })
  }
  checkInput(operation.method.input, input, operation.label)
  return input
}

async function answerError(message: BusMessage, error: unknown, operation: Operation, edge: Edge): Promise<void> {
  const { status: _, ...body } = publicError(error, operation, message.headers.trace ?? '', edge.logger)
  let bytes = encodeJson(body)
  // Details are for people; an error that cannot be sent because of them would only be a deadline.
  if (bytes.length > 1_000_000)
    bytes = encodeJson({ ...body, message: body.message.slice(0, 10_000), details: undefined })
  await message.respond?.(bytes, { headers: errorAnswer })
}
