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

type Send<T> = (subject: string) => Promise<T>

/**
 * Finds an instance that understands the caller. A call goes on to the next subject only when it had no effect: nobody
 * listened, or the one who did refused the version before anything else.
 */
export class CallTargets {
  readonly #subjects: ReturnType<typeof subjectsOf>
  readonly #contract: Contract
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
  send<T>(method: string, send: Send<T>, choice: VersionChoice | undefined): Promise<T> {
    if (choice !== undefined) return this.#sendChosen(method, send, choice)
    const { plain, major } = this.#subjects
    return this.#majorFirst
      ? this.#inTurn(method, send, [major, plain])
      : send(`${plain}.${method}`).catch((error: unknown) => {
          if (!CloudError.is(error, 'core.contract.version-mismatch')) throw error
          return this.#inTurn(method, send, [major], error)
        })
  }

  async #sendChosen<T>(method: string, send: Send<T>, { versions, strict }: VersionChoice): Promise<T> {
    const own = majorOf(this.#contract.version)
    const fitting = versions.filter(version => majorOf(version) === own)
    const subjects = fitting.map(this.#subjects.exact)
    if (!strict) return this.#inTurn(method, send, [...subjects, this.#subjects.major, this.#subjects.plain])
    const mismatch = new CloudError(
      'core.contract.version-mismatch',
      `nobody serves ${this.#contract.name} ${versions.join(', ')}, which the tenant is pinned to`,
      { details: { wanted: versions.join(', ') } },
    )
    return this.#inTurn(method, send, subjects, mismatch)
  }

  /** @param last - what to throw when nobody answers at any of them; default: what the last one said. */
  async #inTurn<T>(method: string, send: Send<T>, places: readonly string[], last?: CloudError): Promise<T> {
    let mismatch = last
    let absent: CloudError | undefined
    for (const place of places) {
      try {
        const answer = await send(`${place}.${method}`)
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
