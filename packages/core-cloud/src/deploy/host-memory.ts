import { join } from 'node:path'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { LatestWriter, readJsonFile, writeAtomically } from './atomic-file.js'
import { DesiredSiteSchema, DesiredStateSchema } from './deploy-schemas.js'
import type { DesiredState } from './desired-state.js'
import { emptyWorld, type SiteWorld } from './site-world.js'

/** What the planner has to know after a restart of the host. */
export type SiteMemory = Pick<SiteWorld, 'good' | 'failure' | 'released'>

/** The host's last good copy of the desired state, and what became of it. */
export interface HostMemory {
  readonly desired: DesiredState | undefined
  readonly sites: ReadonlyMap<string, SiteMemory>
  saveDesired(state: DesiredState): void
  saveSites(sites: ReadonlyMap<string, SiteMemory>): void
  /** Resolves when everything is on disk. */
  settled(): Promise<void>
}

const failure = Type.Object({
  generation: Type.Integer(),
  version: Type.Integer(),
  step: Type.Union([Type.Literal('fetch'), Type.Literal('release'), Type.Literal('start'), Type.Literal('health')]),
  reason: Type.String(),
})
const sitesForm = Compile(
  Type.Record(
    Type.String(),
    Type.Object({
      good: Type.Optional(DesiredSiteSchema),
      failure: Type.Optional(failure),
      released: Type.Array(Type.String()),
    }),
  ),
)
const desiredForm = Compile(DesiredStateSchema)

/**
 * Reads `desired.json` and `agent.json` of a folder. Both hold connection strings: mode 0600.
 * @throws CloudError `core.kernel.invalid-config` when a file is there and cannot be understood: starting without it
 *   would stop every site, so a person has to decide.
 */
export async function openHostMemory({ dir, logger }: { dir: string; logger: Logger }): Promise<HostMemory> {
  const desiredPath = join(dir, 'desired.json')
  const sitesPath = join(dir, 'agent.json')
  const desired = await readChecked(desiredPath, value => (desiredForm.Check(value) ? value : undefined))
  const sites = await readChecked(sitesPath, value => (sitesForm.Check(value) ? value : undefined))
  const writer = (path: string): LatestWriter =>
    new LatestWriter(text =>
      writeAtomically(path, text).catch((error: unknown) =>
        logger.error('the host cannot write its state', { error, path }),
      ),
    )
  const desiredWriter = writer(desiredPath)
  const sitesWriter = writer(sitesPath)
  return {
    desired,
    sites: new Map(Object.entries(sites ?? {})),
    saveDesired: state => desiredWriter.put(JSON.stringify(state)),
    saveSites: memories => sitesWriter.put(JSON.stringify(Object.fromEntries(memories))),
    async settled() {
      await Promise.all([desiredWriter.settled(), sitesWriter.settled()])
    },
  }
}

/** A world with nothing running, as it is when the host starts. */
export function rememberedWorld(memory: SiteMemory | undefined): SiteWorld {
  return { ...emptyWorld, ...memory }
}

export function memoryOf({ good, failure: given, released }: SiteWorld): SiteMemory {
  return { released, ...(good === undefined ? {} : { good }), ...(given === undefined ? {} : { failure: given }) }
}

async function readChecked<T>(path: string, check: (value: unknown) => T | undefined): Promise<T | undefined> {
  let value: unknown
  try {
    value = await readJsonFile(path)
  } catch (cause) {
    throw new CloudError(
      'core.kernel.invalid-config',
      `${path} cannot be read; mend it, or remove it to start without it`,
      { cause },
    )
  }
  if (value === undefined) return undefined
  const checked = check(value)
  if (checked === undefined) {
    throw new CloudError('core.kernel.invalid-config', `${path} is damaged; mend it, or remove it to start without it`)
  }
  return checked
}
