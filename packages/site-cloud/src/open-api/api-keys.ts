import { hash, timingSafeEqual } from 'node:crypto'
import { type Clock, CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'

export interface ApiKey {
  readonly keyId: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly requestsPerSecond: number
  /** Epoch milliseconds. */
  readonly createdAt: number
}

/** Milliseconds for which a key read from the database is believed; a revoked key stops working everywhere after it. */
const believedMs = 5_000
/** Keys remembered at most; unknown ones are remembered too, so that guessing does not reach the database each time. */
const maxRemembered = 10_000

interface Remembered {
  readonly key: (ApiKey & { readonly secretHash: Buffer }) | undefined
  readonly until: number
}

/** API keys of one site: `aaas_<key id>_<secret>`. */
export class ApiKeys {
  readonly #remembered = new Map<string, Remembered>()

  constructor(readonly deps: { readonly database: Database; readonly clock: Clock; readonly ids: Ids }) {}

  /** @returns the key with its secret, which is shown this once only. */
  async create(input: {
    readonly name: string
    readonly scopes: readonly string[]
    readonly requestsPerSecond: number
  }): Promise<{ readonly keyId: string; readonly apiKey: string }> {
    const keyId = this.deps.ids.token(8)
    const secret = this.deps.ids.token(24)
    await this.deps.database.query({
      text: 'insert into api_key(key_id, name, secret_hash, scopes, requests_per_second) values ($1, $2, $3, $4, $5)',
      values: [
        keyId,
        input.name,
        hashOf(secret).toString('hex'),
        JSON.stringify(input.scopes),
        input.requestsPerSecond,
      ],
    })
    this.#remembered.delete(keyId)
    return { keyId, apiKey: `aaas_${keyId}_${secret}` }
  }

  async list(): Promise<readonly ApiKey[]> {
    return this.deps.database.query<ApiKey>({
      text: `select key_id as "keyId", name, scopes, requests_per_second as "requestsPerSecond",
        (extract(epoch from created_at) * 1000)::bigint as "createdAt"
        from api_key where revoked_at is null order by created_at desc limit 500`,
    })
  }

  /** Other instances stop accepting the key within five seconds. */
  async revoke(keyId: string): Promise<void> {
    await this.deps.database.query({ text: 'update api_key set revoked_at = now() where key_id = $1', values: [keyId] })
    this.#remembered.delete(keyId)
  }

  /** @throws CloudError `site.open-api.invalid-key`. */
  async authenticate(text: string): Promise<ApiKey> {
    const [, keyId, secret] = /^aaas_([a-z2-7]{4,32})_([a-z2-7]{20,80})$/.exec(text) ?? []
    const key = keyId === undefined ? undefined : await this.#find(keyId)
    if (secret === undefined || key === undefined || !timingSafeEqual(hashOf(secret), key.secretHash)) {
      throw new CloudError('site.open-api.invalid-key', 'the API key is wrong or revoked', { field: 'authorization' })
    }
    return key
  }

  async #find(keyId: string): Promise<Remembered['key']> {
    const now = this.deps.clock.monotonic()
    const known = this.#remembered.get(keyId)
    if (known !== undefined && known.until > now) return known.key
    const rows = await this.deps.database.query<ApiKey & { secretHash: string }>({
      text: `select key_id as "keyId", name, scopes, requests_per_second as "requestsPerSecond", secret_hash as "secretHash",
        (extract(epoch from created_at) * 1000)::bigint as "createdAt" from api_key where key_id = $1 and revoked_at is null`,
      values: [keyId],
      name: 'api-key',
    })
    const row = rows[0]
    const key = row === undefined ? undefined : { ...row, secretHash: Buffer.from(row.secretHash, 'hex') }
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear()
    this.#remembered.set(keyId, { key, until: now + believedMs })
    return key
  }
}

function hashOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
