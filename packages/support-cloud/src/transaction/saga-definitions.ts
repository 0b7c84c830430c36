import { CloudError } from '@aaas/core-cloud/kernel'
import type { SagaAction, SagaDefinition, SagaRetry, SagaStep } from './saga.js'
import { isWait } from './saga-core.js'
import { checkName } from './saga-record.js'

/** The definitions that this process knows. */
export class SagaDefinitions {
  readonly #known = new Map<string, Map<number, SagaDefinition>>()

  add(definition: SagaDefinition): void {
    checkName('name', definition.name, 100)
    whole('version', definition.version, 1, 1_000_000)
    if (definition.timeoutMs !== undefined) whole('timeoutMs', definition.timeoutMs, 1, 10 * 365 * 86_400_000)
    const { steps } = definition
    if (steps.length < 1 || steps.length > 50) throw invalid('steps', 'must be 1 to 50')
    for (const [index, step] of steps.entries()) checkStep(`steps/${index}`, step)
    if (new Set(steps.map(step => step.name)).size < steps.length) throw invalid('steps', 'have names of their own')
    const versions = this.#known.get(definition.name) ?? new Map<number, SagaDefinition>()
    if (versions.has(definition.version)) throw invalid('version', 'is defined already')
    versions.set(definition.version, definition)
    this.#known.set(definition.name, versions)
  }

  find(name: string, version: number): SagaDefinition | undefined {
    return this.#known.get(name)?.get(version)
  }

  /** The given version, or the newest. @throws CloudError `support.transaction.unknown-saga`. */
  get(name: string, version?: number): SagaDefinition {
    const versions = this.#known.get(name)
    const found = versions?.get(version ?? Math.max(...versions.keys()))
    if (found !== undefined) return found
    throw new CloudError(
      'support.transaction.unknown-saga',
      `no definition of ${name}${version === undefined ? '' : `@${version}`}`,
      { field: 'name' },
    )
  }

  /** Names and versions, side by side, as the database wants them. */
  pairs(): { readonly names: string[]; readonly versions: number[] } {
    const all = [...this.#known.values()].flatMap(versions => [...versions.values()])
    return { names: all.map(one => one.name), versions: all.map(one => one.version) }
  }
}

function checkStep(field: string, step: SagaStep): void {
  checkName(`${field}/name`, step.name, 100)
  if (step.timeoutMs !== undefined) whole(`${field}/timeoutMs`, step.timeoutMs, 1, 2_147_483_647)
  if (isWait(step)) {
    checkName(`${field}/waitFor`, step.waitFor, 100)
    return
  }
  checkRetry(`${field}/retry`, step.retry)
  checkRetry(`${field}/compensateRetry`, step.compensateRetry)
  checkRetry(`${field}/unknownRetry`, step.unknownRetry)
  checkCompensation(field, step)
}

/** Beyond a point of no return nothing is taken back: a compensation there would never run. */
function checkCompensation(field: string, step: SagaAction): void {
  if (step.onFailure === 'park' && step.compensate !== undefined) {
    throw invalid(`${field}/compensate`, 'makes no sense for a step that is a point of no return')
  }
}

function checkRetry(field: string, retry: SagaRetry | undefined): void {
  if (retry?.attempts !== undefined) whole(`${field}/attempts`, retry.attempts, 1, 100)
  if (retry?.firstPauseMs !== undefined) whole(`${field}/firstPauseMs`, retry.firstPauseMs, 0, 86_400_000)
  if (retry?.longestPauseMs !== undefined) whole(`${field}/longestPauseMs`, retry.longestPauseMs, 0, 86_400_000)
}

function whole(field: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw invalid(field, `must be a whole number from ${least} to ${most}`)
  }
}

function invalid(field: string, why: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field} ${why}`, { field })
}
