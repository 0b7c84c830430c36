import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import { buildPackage, type PackageJson, type PackageRef } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { type CapacityPlan, planCapacity, type Template } from '../template/index.js'
import { checked, parseSiteFile, type SiteFile } from './site-file.js'

const maxCatalogueBytes = 20_000_000

/** A generated site, ready to be signed and pushed. */
export interface GeneratedSite {
  readonly site: SiteFile
  readonly plan: CapacityPlan
  readonly ref: PackageRef
  readonly packageJson: PackageJson
  readonly tarball: Uint8Array
}

export interface GenerateOptions {
  /** Folder with site.json and the catalogue. */
  readonly siteDir: string
  readonly templates: readonly Template[]
  /** Semver range of the platform the package will ask for. */
  readonly engine: string
}

/**
 * Turns a folder with a site.json into a package: the template's program, the settings, the catalogue and the capacity
 * plan. The same input gives the same bytes. Writes nothing into the site's folder.
 * @throws CloudError `site.factory.invalid-site`, `site.template.unknown`, `site.factory.impossible-performance`, and
 *   what the template says of the catalogue.
 */
export async function generateSite(options: GenerateOptions): Promise<GeneratedSite> {
  const written = parseSiteFile(await readText(options.siteDir, 'site.json', 1_000_000))
  const template = options.templates.find(candidate => candidate.name === written.template)
  if (template === undefined) {
    const known = options.templates.map(candidate => candidate.name).join(', ')
    throw new CloudError('site.template.unknown', `no template '${written.template}'; there are: ${known}`, {
      field: 'template',
    })
  }
  const config = checked(
    template.config,
    { ...template.configDefaults, ...(written.config as object | undefined) },
    'config',
  )
  template.checkConfig?.(config)
  const site: SiteFile = { ...written, config }
  const catalogue =
    site.catalogue === undefined ? undefined : await readText(options.siteDir, site.catalogue, maxCatalogueBytes)
  if (catalogue !== undefined) await template.checkCatalogue?.(catalogue, config)
  const plan = planCapacity(site.performance, template.capacity)
  const dir = await mkdtemp(join(tmpdir(), 'aaas-site-'))
  try {
    await writeTree({
      dir,
      site,
      template,
      plan,
      engine: options.engine,
      ...(catalogue === undefined ? {} : { catalogue }),
    })
    return { site, plan, ...(await buildPackage({ dir })) }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

interface Tree {
  readonly dir: string
  readonly site: SiteFile
  readonly template: Template
  readonly plan: CapacityPlan
  readonly engine: string
  readonly catalogue?: string
}

async function writeTree({ dir, site, template, plan, engine, catalogue }: Tree): Promise<void> {
  await cp(template.programDir, join(dir, 'program'), {
    recursive: true,
    filter: async source => (await stat(source)).isDirectory() || /\.(js|json|css|svg)$/.test(source),
  })
  const files = {
    'site.json': `${JSON.stringify(site, null, 2)}\n`,
    'capacity.json': `${JSON.stringify(plan, null, 2)}\n`,
    ...(catalogue === undefined ? {} : { 'catalogue.csv': catalogue }),
  }
  const hash = createHash('sha256')
  for (const [name, text] of Object.entries(files)) {
    hash.update(name).update(text)
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), text)
  }
  const packageJson: PackageJson & { readonly type: 'module'; readonly private: true } = {
    name: `site-${site.name}`,
    version: `${template.version}-c${hash.digest('hex').slice(0, 10)}`,
    description: `${site.name}: a site of the template ${template.name} ${template.version}`,
    type: 'module',
    private: true,
    aaas: {
      kind: 'site',
      engine,
      entry: 'program/program.js',
      extensionPoints: [...template.extensionPoints],
      dataLevel: template.dataLevel,
      template: { name: template.name, version: template.version },
    },
  }
  await writeFile(join(dir, 'package.json'), `${JSON.stringify(packageJson, null, 2)}\n`)
}

/** Reads a file below `dir`, refusing names that lead out of it. */
async function readText(dir: string, name: string, maxBytes: number): Promise<string> {
  const root = resolve(dir)
  const path = resolve(root, name)
  const field = name === 'site.json' ? undefined : 'catalogue'
  const fail = (reason: string, cause?: unknown): CloudError =>
    new CloudError('site.factory.invalid-site', `${name}: ${reason}`, {
      ...(field === undefined ? {} : { field }),
      cause,
    })
  if (!path.startsWith(root + sep)) throw fail('leads out of the folder of the site')
  const info = await stat(path).catch(error => {
    throw fail(`cannot be read in ${root}`, error)
  })
  if (!info.isFile()) throw fail('is not a file')
  if (info.size > maxBytes) throw fail(`is larger than ${maxBytes} bytes`)
  return readFile(path, 'utf8')
}
