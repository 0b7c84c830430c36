import { CloudError } from '../kernel/errors.js'
import { policyFlaw, type VersionChoice, type VersionPolicy, versionOrder } from './version-routing-core.js'

/** Which versions the callers of this process reach; changed while they call. */
export interface VersionRoutes {
  /**
   * From the next call on; undefined: whoever serves the contract's major, as without routes. Calls under way end where
   * they began. @throws CloudError `core.kernel.invalid-config` whose `field` names the wrong part of the policy.
   */
  set(contract: string, policy: VersionPolicy | undefined): void
  get(contract: string): VersionPolicy | undefined
  /** @returns undefined when there is no policy for the contract. */
  choose(contract: string, tenant: string | undefined, traceId: () => string): VersionChoice | undefined
}

/** Routes that begin without a policy for any contract. */
export function versionRoutes(): VersionRoutes {
  const policies = new Map<string, VersionPolicy>()
  return {
    set(contract, policy) {
      if (policy === undefined) {
        policies.delete(contract)
        return
      }
      const flaw = policyFlaw(policy)
      if (flaw !== undefined) {
        throw new CloudError('core.kernel.invalid-config', `the routes of ${contract}: ${flaw.field} ${flaw.reason}`, {
          field: flaw.field,
        })
      }
      policies.set(contract, structuredClone(policy))
    },
    get: contract => policies.get(contract),
    choose(contract, tenant, traceId) {
      const policy = policies.get(contract)
      if (policy === undefined) return undefined
      return versionOrder(policy, tenant, policy.sticky === 'trace' ? traceId() : (tenant ?? traceId()))
    },
  }
}
