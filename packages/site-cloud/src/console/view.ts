import type { Client } from '@aaas/core-cloud/contract'
import type { CallOptions } from '@aaas/core-cloud/kernel'
import type { siteCenterContract } from '../site-center/site-center-contract.js'
import type { ConsoleSession } from './console-users.js'
import type { Language, Texts } from './texts/texts.js'

export type Center = Client<typeof siteCenterContract>

/** Shown once on the page after a change. */
export interface Flash {
  readonly text: string
  /** A password or key that is not shown again. */
  readonly secret?: string
}

/** What every page knows of who looks at it. */
export interface View {
  readonly texts: Texts
  readonly language: Language
  /** Path and query of the page, where the language switch leads back to. */
  readonly path: string
}

/** A page behind the login. */
export interface SignedView extends View {
  readonly session: ConsoleSession
  readonly center: Center
  readonly call: CallOptions
  readonly query: Readonly<Record<string, string>>
  readonly flash?: Flash
}

/** True when the role of a session has a scope. Pages leave out what it may not do; the site centre refuses it. */
export function may({ session }: { readonly session: ConsoleSession }, scope: string): boolean {
  const { scopes } = session.actor
  return scopes.includes('*') || scopes.includes(scope)
}
