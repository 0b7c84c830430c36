import { checkName } from '../coordination/checks.js'
import { checkToken, type FencingToken, fenced } from './fence.js'

/** The part of a Redis client that is needed: `eval` of ioredis is one. */
export interface RedisFenceClient {
  eval(script: string, keys: number, ...keysAndArguments: string[]): Promise<unknown>
}

/**
 * KEYS: the fence of the name, then the key that is written. ARGV: token, value, milliseconds to live or '0'. Answers the
 * highest token: when that is the caller's, the value was set. Numbers are compared as text by length first: Lua's have
 * 53 bits, which is what ours have, but not on every build.
 */
export const redisFencedSet = `
local seen = redis.call('get', KEYS[1])
local token = ARGV[1]
if seen and (#seen > #token or (#seen == #token and seen > token)) then return seen end
redis.call('set', KEYS[1], token)
if ARGV[3] == '0' then redis.call('set', KEYS[2], ARGV[2])
else redis.call('set', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
return token`

export interface RedisFence {
  /**
   * Writes a value unless a later holder has written; check and write are one script. In a cluster both keys must be in
   * one slot: `{name}` in braces in `key` does that.
   * @param options.ttlMs - milliseconds, 1 to 2^31 - 1; default for ever.
   * @throws CloudError `core.ha.fenced`, `core.ha.invalid-argument`.
   */
  set(token: FencingToken, key: string, value: string, options?: { readonly ttlMs?: number }): Promise<void>
}

/** @param options.prefix - of the fences' keys, default `aaas-fence`; they are `<prefix>:{<name>}` and never expire. */
export function redisFence(client: RedisFenceClient, options: { readonly prefix?: string } = {}): RedisFence {
  const { prefix = 'aaas-fence' } = options
  checkName(prefix, 'prefix')
  return {
    async set(token, key, value, { ttlMs = 0 } = {}) {
      checkToken(token)
      const wanted = String(token.token)
      const own = `${prefix}:{${token.name}}`
      const seen = await client.eval(redisFencedSet, 2, own, key, wanted, value, String(ttlMs))
      if (String(seen) !== wanted) throw fenced(token, Number(seen))
    },
  }
}
