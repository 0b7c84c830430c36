import type { Site, SiteVersion } from '../site-center/index.js'
import { table } from './output.js'

/** A site for a person's eyes. */
export function formatSite(site: Site): string {
  const lines = [
    `${site.site}  ${site.phase}${site.maintenance ? ', maintenance page on' : ''}`,
    `version ${site.servingVersion} serves, ${site.version} is wanted; ${site.wantedInstances} instances of ${site.concurrency} requests each`,
    ...site.urls.map(url => `at ${url}`),
  ]
  if (site.failure !== undefined)
    lines.push(`version ${site.failure.version} failed at ${site.failure.step}: ${site.failure.reason}`)
  const instances = table(
    ['INSTANCE', 'VERSION', 'STATE', 'RESTARTS', 'MEMORY'],
    site.instances.map(one => [
      one.id,
      String(one.version),
      one.state,
      String(one.restarts),
      one.memoryBytes === undefined ? '' : `${Math.round(one.memoryBytes / 1_048_576)} MB`,
    ]),
  )
  const cloudware = site.cloudware.map(
    one =>
      `cloudware ${one.name}@${one.version}${one.wanted ? '' : ' (leaving)'}: ${one.instances.map(two => `${two.state}, ${two.calls} calls, ${two.failures} failures`).join('; ') || 'not loaded yet'}`,
  )
  return [...lines, instances, ...cloudware].join('\n')
}

export function formatSites(sites: readonly Site[]): string {
  return table(
    ['SITE', 'KIND', 'PHASE', 'VERSION', 'INSTANCES', 'URL'],
    sites.map(site => [
      site.site,
      site.kind,
      site.phase,
      String(site.servingVersion),
      `${site.instances.filter(one => one.state === 'ready').length}/${site.wantedInstances}`,
      site.urls[0] ?? '',
    ]),
  )
}

export function formatVersions(versions: readonly SiteVersion[]): string {
  return table(
    ['VERSION', 'STATE', 'PACKAGE', 'TEMPLATE', 'PUSHED', 'FAILURE'],
    versions.map(one => [
      String(one.version),
      one.state,
      `${one.package.name}@${one.package.version}`,
      one.template === undefined ? '' : `${one.template.name} ${one.template.version}`,
      new Date(one.pushedAt).toISOString(),
      one.failure ?? '',
    ]),
  )
}

export interface LogLine {
  readonly at: number
  readonly level: string
  readonly instance: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export function formatLogLine(line: LogLine): string {
  const fields = Object.keys(line.fields).length === 0 ? '' : ` ${JSON.stringify(line.fields)}`
  return `${new Date(line.at).toISOString()} ${line.level.padEnd(5)} ${line.instance} ${line.message}${fields}`
}
