import type { BusMessage } from '../bus/bus.js'
import { CloudError } from '../kernel/errors.js'
import type { Contract } from './contract.js'
import { majorOf, type VersionChoice, versionToken } from './version-routing-core.js'

/**
 * Names of the subjects of a contract. `<prefix>.<contract>.<method>` reaches an instance of any version,
 * `...v1.<method>` one of a major, `...v1-4-2.<method>` one of a version, and `..._i.<instance>.<what>` one instance.
 */
export function subjectsOf(prefix: string, contract: Contract) {
  const place = `${prefix}.${contract.name}`
  return {
    plain: place,
    major: `${place}.${versionToken(majorOf(contract.version))}`,
    exact: (version: string) => `${place}.${versionToken(version)}`,
    instance: (instance: string) => `${place}._i.${instance}`,
  }
}

/** One call, asked at one subject or several. */
export interface Sending<T> {
  ask(subject: string): Promise<BusMessage>
  /** @throws what the other side threw. */
  take(answer: BusMessage): T
  /** Told once, when nothing is left to try. @returns what the caller gets. */
  failed(error: unknown): unknown
}

/**
 * Finds an instance that understands the caller. A call goes on to the next subject only when it had no effect: nobody
 * listened, or the one who did refused the version before anything else.
 */
export class CallTargets {
  readonly #subjects: ReturnType<typeof subjectsOf>
  readonly #contract: Contract
  /** Subjects by method: putting one together for each call, and finding it in a table, costs more than it seems. */
  readonly #plain = new Map<string, string>()
  /** Another major answered at the plain subject: ask the own one first from then on. */
  #majorFirst = false

  constructor({ prefix, contract }: { readonly prefix: string; readonly contract: Contract }) {
    this.#subjects = subjectsOf(prefix, contract)
    this.#contract = contract
  }

  /** Where the frames of a stream go. */
  instance(instance: string): string {
    return `${this.#subjects.instance(instance)}.stream`
  }

  /** @throws CloudError `core.contract.version-mismatch` when somebody serves the contract, but no version that fits. */
  send<T>(method: string, sending: Sending<T>, choice: VersionChoice | undefined): Promise<T> {
    if (choice !== undefined) return ending(this.#sendChosen(method, sending, choice), sending)
    const { plain, major } = this.#subjects
    if (this.#majorFirst) return ending(this.#inTurn(method, sending, [major, plain]), sending)
    const elsewhere = (error: unknown): Promise<T> => {
      if (!CloudError.is(error, 'core.contract.version-mismatch')) throw sending.failed(error)
      return ending(this.#inTurn(method, sending, [major], error), sending)
    }
    return sending.ask(this.#plainOf(method)).then(answer => {
      try {
        return sending.take(answer)
      } catch (error) {
        return elsewhere(error)
      }
    }, elsewhere)
  }

  #plainOf(method: string): string {
    let subject = this.#plain.get(method)
    if (subject === undefined) {
      subject = `${this.#subjects.plain}.${method}`
      this.#plain.set(method, subject)
    }
    return subject
  }

  async #sendChosen<T>(method: string, sending: Sending<T>, { versions, strict }: VersionChoice): Promise<T> {
    const own = majorOf(this.#contract.version)
    const fitting = versions.filter(version => majorOf(version) === own)
    const subjects = fitting.map(this.#subjects.exact)
    if (!strict) return this.#inTurn(method, sending, [...subjects, this.#subjects.major, this.#subjects.plain])
    const mismatch = new CloudError(
      'core.contract.version-mismatch',
      `nobody serves ${this.#contract.name} ${versions.join(', ')}, which the tenant is pinned to`,
      { details: { wanted: versions.join(', ') } },
    )
    return this.#inTurn(method, sending, subjects, mismatch)
  }

  /** @param last - what to throw when nobody answers at any of them; default: what the last one said. */
  async #inTurn<T>(method: string, sending: Sending<T>, places: readonly string[], last?: CloudError): Promise<T> {
    let mismatch = last
    let absent: CloudError | undefined
    for (const place of places) {
      try {
        const answer = sending.take(await sending.ask(`${place}.${method}`))
        if (place === this.#subjects.major) this.#majorFirst = true
        return answer
      } catch (error) {
        if (CloudError.is(error, 'core.contract.version-mismatch')) mismatch ??= error
        else if (CloudError.is(error, 'core.bus.no-responder')) absent = error
        else throw error
      }
    }
    // A later call looks at the plain subject again: the instances may have been replaced.
    this.#majorFirst = false
    throw mismatch ?? absent ?? new CloudError('core.bus.no-responder', `nobody serves ${this.#contract.name}`)
  }
}

function ending<T>(result: Promise<T>, sending: Sending<T>): Promise<T> {
  return result.catch((error: unknown) => {
    throw sending.failed(error)
  })
}
