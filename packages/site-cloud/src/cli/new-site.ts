import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { SiteFile } from '../factory/index.js'
import { builtInTemplates } from './platform-templates.js'

export const sampleCatalogue = fileURLToPath(new URL('../../../assets/shop/sample-catalogue.csv', import.meta.url))

/** Writes a folder to start a site from. Never overwrites a file. */
export async function newSite(options: {
  readonly name: string
  readonly template: string
  readonly dir: string
}): Promise<{ readonly dir: string; readonly files: readonly string[] }> {
  const { name, dir } = options
  if (!/^[a-z][a-z0-9-]{0,39}$/.test(name)) {
    throw new CloudError(
      'core.contract.invalid-input',
      'a site name has lower-case letters, digits and dashes, at most 40',
      { field: 'name' },
    )
  }
  if (!builtInTemplates.some(template => template.name === options.template)) {
    throw new CloudError('site.template.unknown', `no template '${options.template}'`, { field: 'template' })
  }
  await mkdir(dir, { recursive: true })
  if ((await readdir(dir)).length > 0)
    throw new CloudError('site.center.conflict', `${dir} is not empty`, { field: 'dir' })
  const site: SiteFile = {
    template: options.template,
    name,
    config: { name: { 'zh-CN': name, en: name }, languages: ['zh-CN', 'en'], defaultLanguage: 'zh-CN' },
    catalogue: 'catalogue.csv',
    performance: { ordersPerMinute: 60, p99Ms: 500 },
  }
  const files: Record<string, string> = {
    'site.json': `${JSON.stringify(site, null, 2)}\n`,
    'catalogue.csv': await readFile(sampleCatalogue, 'utf8'),
  }
  for (const [file, text] of Object.entries(files)) await writeFile(join(dir, file), text, { flag: 'wx' })
  return { dir, files: Object.keys(files) }
}
