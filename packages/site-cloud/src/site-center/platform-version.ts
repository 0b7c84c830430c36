import { readFileSync } from 'node:fs'

const manifest = new URL('../../../package.json', import.meta.url)

/** Version of this platform; the packages of all layers have the same one. */
export const platformVersion = (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
