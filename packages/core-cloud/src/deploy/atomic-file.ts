import { open, readFile, rename } from 'node:fs/promises'

/**
 * Replaces a file as a whole (mode 0600): after a crash there is the old text or the new one, never a part.
 * One call at a time per path.
 */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const work = `${path}.new`
  const file = await open(work, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(work, path)
}

/** @returns undefined when there is no such file. @throws for any other trouble, and SyntaxError for damaged JSON. */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return JSON.parse(text)
}

/** Writes the newest of the texts it is given, one write at a time; those in between are skipped. */
export class LatestWriter {
  readonly #write: (text: string) => Promise<void>
  #next: string | undefined
  #running: Promise<void> | undefined

  constructor(write: (text: string) => Promise<void>) {
    this.#write = write
  }

  put(text: string): void {
    this.#next = text
    this.#running ??= this.#run()
  }

  /** Resolves when everything put before is written or has failed. */
  async settled(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    // Later, so that several puts of one turn make one write.
    await Promise.resolve()
    while (this.#next !== undefined) {
      const text = this.#next
      this.#next = undefined
      await this.#write(text)
    }
    this.#running = undefined
  }
}
