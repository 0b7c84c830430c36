/** Makes identifiers and secrets. Tests give a seeded one. */
export interface Ids {
  /** A UUID version 7: 36 characters, ordered by time of creation. */
  uuid(): string
  /** `bytes` random bytes as lower-case base32 (no padding), for names and tokens. */
  token(bytes?: number): string
  /** A number in [0, 1). Never for secrets. */
  random(): number
}
