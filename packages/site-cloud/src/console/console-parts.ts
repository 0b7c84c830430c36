import type { PasswordHasher } from '@aaas/business-cloud/party'
import type { Handlers } from '@aaas/core-cloud/contract'
import type { CallOptions, Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { Context } from 'hono'
import type { siteCenterContract } from '../site-center/site-center-contract.js'
import type { ConsoleSession, ConsoleUsers } from './console-users.js'
import type { Flashes } from './flashes.js'
import type { Center, SignedView, View } from './view.js'

export interface AuditEntry {
  readonly actor: string
  readonly action: string
  readonly site: string
  readonly detail: string
}

export interface ConsoleOptions {
  /** Holds the tables `console_user` and `console_session`. */
  readonly database: Database
  readonly center: Handlers<typeof siteCenterContract>
  /** Password of the user `admin`, who is made when there is no administrator. */
  readonly adminPassword: string
  /** Keeps what was done to users; what is done to sites the site centre keeps itself. */
  readonly audit: (entry: AuditEntry) => Promise<void>
  /** Default: one at today's cost; tests give a cheap one. */
  readonly passwords?: PasswordHasher
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

/** `session` is there on every route behind the login. */
export type Env = { Variables: { session: ConsoleSession } }

/** What all routes share. */
export interface ConsoleParts {
  readonly users: ConsoleUsers
  readonly center: Center
  readonly flashes: Flashes
  readonly ids: Ids
  readonly logger: Logger
  readonly audit: ConsoleOptions['audit']
  view(c: Context<Env>): View
  signedView(c: Context<Env>): SignedView
  /** How calls of this request are made. */
  call(c: Context<Env>): CallOptions
}
