/** Where a log is kept: folders of files. Implemented by the disk and by memory. */
export interface LogFiles {
  folders(): Promise<readonly string[]>
  /** Made when it is not there. */
  folder(name: string): Promise<LogFolder>
  /** With everything in it; nothing happens when it is not there. After a crash in between it is there or gone. */
  removeFolder(name: string): Promise<void>
  /** Releases what keeps others away from the place. */
  close(): Promise<void>
}

export interface LogFolder {
  /** For messages to people. */
  readonly path: string
  list(): Promise<readonly string[]>
  /**
   * Made when it is not there, unless it is opened to be read.
   * @param access - `write-through`: a write resolves when the disk has everything. It costs one turn instead of the two
   *   of a write and a sync. `read`: writes fail; nothing on the disk changes.
   */
  open(name: string, access?: 'write-through' | 'read'): Promise<LogFile>
  /** `to` is replaced at once: after a crash it is the old or the new one. Open files stay usable. */
  replace(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** Names made, replaced and removed before survive a loss of power. */
  sync(): Promise<void>
}

export interface LogFile {
  /** Bytes when it was opened; later ones are the writer's to count. */
  readonly size: number
  /** True when it was opened so and the place can do it: otherwise a `sync` must follow a write. */
  readonly writeThrough?: boolean
  /** Resolves when the operating system has everything. The pieces must not change before. */
  write(pieces: readonly Uint8Array[], position: number): Promise<void>
  /** Fewer bytes at the end of the file. The buffer is the caller's. */
  read(position: number, length: number): Promise<Buffer>
  /** Resolves when the disk has everything. */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}
