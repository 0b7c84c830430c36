import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { shopTemplate } from '../shop/index.js'
import { parseMeasurement, type Template, unitCapacity } from '../template/index.js'
import type { PlatformHome } from './platform-home.js'

/** The templates this platform brings, with the capacity they were shipped with. */
export const builtInTemplates: readonly Template[] = [shopTemplate]

/** Semver range of the platform that generated packages ask for. */
export const engineRange = '^0.1.0'

/**
 * The templates as this platform plans with them: measured on its own machine where somebody did.
 * @throws CloudError `site.template.invalid-capacity` naming the file that is not one.
 */
export function platformTemplates(home: PlatformHome): readonly Template[] {
  return builtInTemplates.map(template => {
    const file = capacityFile(home, template.name)
    if (!existsSync(file)) return template
    const measurement = parseMeasurement(readFileSync(file, 'utf8'), file)
    // What another version of the program could do says nothing of this one.
    return measurement.template.version === template.version
      ? { ...template, capacity: unitCapacity(measurement) }
      : template
  })
}

/** Where the capacity measured on this machine is kept. */
export function capacityFile(home: PlatformHome, template: string): string {
  return join(home.capacityDir, `${template}.json`)
}
