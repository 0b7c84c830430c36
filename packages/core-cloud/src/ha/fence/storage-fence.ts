import { CloudError } from '../../kernel/errors.js'
import { checkToken, type FencingToken, fenced } from './fence.js'

/** The part of an object store that is needed: conditional writes, as S3 and its like have them. */
export interface FencedStore {
  /** @returns undefined when there is no such object. */
  head(key: string): Promise<{ readonly etag: string; readonly metadata: Readonly<Record<string, string>> } | undefined>
  /**
   * Writes only when the object has this etag (`ifMatch`), or is not there (`ifMatch: undefined`).
   * @returns false when it was another one.
   */
  put(
    key: string,
    body: Uint8Array,
    options: { readonly ifMatch: string | undefined; readonly metadata: Readonly<Record<string, string>> },
  ): Promise<boolean>
}

/** Metadata of a fenced object. */
export const fenceMetadata = 'aaas-fence-token'

const maxTries = 8

/**
 * Writes an object unless a later holder has written it: the token stands in the object's metadata, and the write is on
 * condition that nobody wrote since it was read. A fence of its own for each object.
 * @throws CloudError `core.ha.fenced`, `core.ha.overloaded` when others write it all the time.
 */
export async function fencedPut(
  store: FencedStore,
  token: FencingToken,
  key: string,
  body: Uint8Array,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  checkToken(token)
  for (let tries = 0; tries < maxTries; tries++) {
    const found = await store.head(key)
    const seen = Number(found?.metadata[fenceMetadata] ?? 0)
    if (seen > token.token) throw fenced(token, seen)
    const all = { ...metadata, [fenceMetadata]: String(token.token) }
    if (await store.put(key, body, { ifMatch: found?.etag, metadata: all })) return
  }
  throw new CloudError('core.ha.overloaded', `${key} was written by others ${maxTries} times in between`)
}
