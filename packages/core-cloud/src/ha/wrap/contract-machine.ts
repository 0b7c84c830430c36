import { type Contract, checkInput, type Methods } from '@aaas/core-cloud/contract'
import type { Static } from 'typebox'
import { CloudError, type ErrorBody } from '../../kernel/errors.js'
import { framed, packet, unframed, unpacked } from '../coordination/raft/packet.js'
import type { StateMachine } from '../replica.js'

/** What a command may know besides its input and the state. */
export interface CommandFacts {
  /** Of the log: rises with every command. */
  readonly index: number
  /** Epoch milliseconds as the proposing node had them; never back. The only time that a command may use. */
  readonly at: number
}

type Input<C extends Contract, K extends keyof C['methods']> = Static<C['methods'][K]['input']>
type Output<C extends Contract, K extends keyof C['methods']> = Static<C['methods'][K]['output']>

/**
 * A service as a state machine: each method is a command, which may change the state, or a query, which may not. Commands
 * are deterministic: no clock, no randomness, no I/O, no order of a `Map` that did not come from commands. A command that
 * fails on purpose throws a CloudError before it changes anything.
 */
export interface MachineDefinition<C extends Contract, S> {
  readonly contract: C
  /** Of the state's form, 1 to 1_000_000; a node does not load a newer one. */
  readonly version: number
  readonly initial: () => S
  readonly commands: {
    readonly [K in keyof C['methods']]?: (state: S, input: Input<C, K>, facts: CommandFacts) => Output<C, K>
  }
  readonly queries: { readonly [K in keyof C['methods']]?: (state: S, input: Input<C, K>) => Output<C, K> }
  /** The state as JSON, default itself. Called while nothing changes it. */
  readonly save?: (state: S) => unknown
  /** From JSON of this or an older version, default as it is. */
  readonly load?: (saved: unknown, version: number) => S
}

type Command = readonly [method: string, input: unknown, at: number]
type Outcome = { readonly value: unknown } | { readonly error: ErrorBody }

/** Checks that every method is declared once; a programmer's mistake throws a plain Error. */
export function defineMachine<const M extends Methods, S>(
  definition: MachineDefinition<Contract<M>, S>,
): MachineDefinition<Contract<M>, S> {
  const { contract, commands, queries, version } = definition
  if (!(Number.isInteger(version) && version >= 1 && version <= 1_000_000))
    throw new Error(`${contract.name}: version is a whole number of 1 to 1000000`)
  for (const [name, method] of Object.entries(contract.methods)) {
    const both = [name in commands, name in queries]
    if (method.stream !== undefined) throw new Error(`${contract.name}.${name}: a replicated method has no streams`)
    if (both[0] === both[1]) throw new Error(`${contract.name}.${name} must be a command or a query`)
  }
  for (const name of [...Object.keys(commands), ...Object.keys(queries)])
    if (!(name in contract.methods)) throw new Error(`${contract.name} has no method ${name}`)
  return definition
}

/** The state machine of a definition, for a replica of a group of its own. */
export class ContractMachine<C extends Contract, S> implements StateMachine {
  readonly definition: MachineDefinition<C, S>
  #state: S
  #applied = 0
  #at = 0

  constructor(definition: MachineDefinition<C, S>) {
    this.definition = definition
    this.#state = definition.initial()
  }

  get applied(): number {
    return this.#applied
  }

  /** A command as its bytes. @throws CloudError `core.contract.invalid-input`. */
  command(method: string, input: unknown, at: number): Uint8Array {
    const { contract } = this.definition
    checkInput((contract.methods[method] as Methods[string]).input, input, `${contract.name}.${method}`)
    return packet([method, input, at] satisfies Command)
  }

  /** What a command answered. @throws CloudError what it threw. */
  static result(bytes: Uint8Array): unknown {
    const outcome = unpacked(bytes).head as Outcome
    if ('error' in outcome) throw CloudError.fromBody(outcome.error)
    return outcome.value
  }

  query(method: string, input: unknown): unknown {
    const run = this.definition.queries[method] as ((state: S, input: unknown) => unknown) | undefined
    if (run === undefined) throw new Error(`${this.definition.contract.name}.${method} is no query`)
    // A copy: the caller must not hold a piece of the state.
    return structuredClone(run(this.#state, input))
  }

  apply(bytes: Uint8Array, index: number): Uint8Array {
    const [method, input, at] = unpacked(bytes).head as Command
    const run = this.definition.commands[method] as
      | ((state: S, input: unknown, facts: CommandFacts) => unknown)
      | undefined
    // Of a newer version: this member cannot follow the others any more and has to stop.
    if (run === undefined) throw new Error(`${this.definition.contract.name}.${method} is not known here`)
    this.#applied = index
    this.#at = Math.max(this.#at, at)
    return packet(this.#outcome(() => run(this.#state, input, { index, at: this.#at })))
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const { version, save = (state: S): unknown => state, contract } = this.definition
    const head = { kind: 'aaas-machine', name: contract.name, version, index: this.#applied, at: this.#at }
    // As text at once: the state goes on changing.
    return framed([packet(head, Buffer.from(JSON.stringify(save(this.#state)) ?? 'null'))])
  }

  /** @throws CloudError `core.ha.corrupt`, `core.ha.newer-version`; the state is then what it was. */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { version, load = (saved: unknown): S => saved as S, contract } = this.definition
    for await (const one of unframed(chunks)) {
      const { head, body } = unpacked(one)
      const { kind, name, version: saved, index, at } = head as Readonly<Record<string, unknown>>
      if (kind !== 'aaas-machine' || name !== contract.name || typeof saved !== 'number') break
      if (saved > version)
        throw new CloudError(
          'core.ha.newer-version',
          `a state of ${contract.name} of version ${saved}; this is ${version}`,
        )
      this.#state = load(JSON.parse(Buffer.from(body).toString('utf8')), saved)
      this.#applied = index as number
      this.#at = at as number
      return
    }
    throw new CloudError('core.ha.corrupt', `this is no snapshot of ${contract.name}`)
  }

  #outcome(run: () => unknown): Outcome {
    try {
      return { value: run() ?? null }
    } catch (error) {
      // The same on every member: stopping them all would only repeat it at their next start.
      return { error: CloudError.from(error).toJSON() }
    }
  }
}
