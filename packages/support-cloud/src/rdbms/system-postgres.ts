/** Folders of this process's search path, for {@link startPostgres}'s `searchPath`. */
export function systemSearchPath(): readonly string[] {
  return (process.env.PATH ?? '').split(':').filter(folder => folder.startsWith('/'))
}
