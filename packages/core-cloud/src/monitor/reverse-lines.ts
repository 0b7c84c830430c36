import { type FileHandle, open } from 'node:fs/promises'

const chunkBytes = 64 * 1024

/** What a search may still read; shared by the files of one search. */
export interface ReadBudget {
  bytes: number
}

/**
 * Yields the lines of a file from the last to the first, reading backwards in chunks, until the budget is spent.
 * A last line without an end (a write cut short) is yielded too. A file that is gone has no lines.
 */
export async function* reverseLines(path: string, budget: ReadBudget): AsyncGenerator<string> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  try {
    let position = (await file.stat()).size
    let tail = Buffer.alloc(0)
    while (position > 0 && budget.bytes > 0) {
      const length = Math.min(chunkBytes, position)
      position -= length
      budget.bytes -= length
      const chunk = Buffer.alloc(length)
      const { bytesRead } = await file.read(chunk, 0, length, position)
      const block = Buffer.concat([chunk.subarray(0, bytesRead), tail])
      let end = block.length
      for (
        let at = block.lastIndexOf(10, end - 1);
        at >= 0 && end > 0;
        at = at === 0 ? -1 : block.lastIndexOf(10, at - 1)
      ) {
        if (end > at + 1) yield block.toString('utf8', at + 1, end)
        end = at
      }
      tail = Buffer.from(block.subarray(0, end))
    }
    if (position === 0 && tail.length > 0) yield tail.toString('utf8')
  } finally {
    await file.close()
  }
}
