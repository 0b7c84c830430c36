import type { Ids } from '@aaas/core-cloud/kernel'
import type { ShopRequest } from './request.js'

const names = {
  /** Secret id of the cart. */
  cart: 'shop_cart',
  /** Units in the cart, for the badge alone; saves a call per page. */
  units: 'shop_units',
  /** Session of a registered buyer. */
  session: 'shop_session',
  /** Form token; every form repeats it in a hidden field. */
  form: 'shop_form',
  /** `number.token` of the orders this browser placed as a guest, newest first. */
  orders: 'shop_orders',
} as const
export type CookieName = keyof typeof names

const token = /^[a-z2-7]{16,64}$/
const thirtyDays = 30 * 86_400
const maxGuestOrders = 5

export interface GuestOrder {
  readonly number: string
  readonly accessToken: string
}

/** The cookies of one request and those of its answer. All are HttpOnly, SameSite=Lax and bound to the site's path. */
export class BrowserSession {
  readonly #request: ShopRequest
  readonly #ids: Ids
  readonly #changed = new Map<CookieName, string>()

  constructor(request: ShopRequest, ids: Ids) {
    this.#request = request
    this.#ids = ids
  }

  /** The cart's id, if the browser has one. */
  get cartId(): string | undefined {
    return this.#token('cart')
  }

  /** The cart's id; makes one for a browser that has none. */
  ensureCartId(): string {
    return this.cartId ?? this.#set('cart', this.#ids.token(24))
  }

  get sessionToken(): string | undefined {
    const value = this.#get('session')
    return value !== undefined && /^[\x21-\x7e]{16,128}$/.test(value) ? value : undefined
  }

  /** The token that forms of this browser must carry; makes one when there is none. */
  get formToken(): string {
    return this.#token('form') ?? this.#set('form', this.#ids.token(16))
  }

  /** The form token the browser brought, if any. */
  get presentedFormToken(): string | undefined {
    const value = this.#request.cookies.get(names.form)
    return value !== undefined && token.test(value) ? value : undefined
  }

  /** Units in the cart as the badge shows them; empty for none. */
  get cartUnits(): string {
    const value = this.#get('units') ?? ''
    return /^[1-9]\d{0,4}$/.test(value) ? value : ''
  }

  set cartUnits(units: number) {
    const text = units > 0 ? String(Math.min(units, 99_999)) : ''
    if (text !== this.cartUnits) this.#set('units', text)
  }

  get guestOrders(): readonly GuestOrder[] {
    const orders: GuestOrder[] = []
    for (const entry of (this.#get('orders') ?? '').split('|').slice(0, maxGuestOrders)) {
      const [number = '', accessToken = ''] = entry.split('.')
      if (/^[A-Z0-9-]{8,40}$/.test(number) && /^[A-Za-z0-9_-]{8,128}$/.test(accessToken))
        orders.push({ number, accessToken })
    }
    return orders
  }

  rememberOrder(order: GuestOrder): void {
    const others = this.guestOrders.filter(other => other.number !== order.number)
    const kept = [order, ...others].slice(0, maxGuestOrders)
    this.#set('orders', kept.map(({ number, accessToken }) => `${number}.${accessToken}`).join('|'))
  }

  /** After a login or registration: a form token from before it is worth nothing. */
  open(sessionToken: string): void {
    this.#set('session', sessionToken)
    this.#set('form', this.#ids.token(16))
  }

  /** After a logout nothing of the buyer stays in the browser. */
  forget(): void {
    for (const name of ['session', 'cart', 'units', 'orders'] as const) this.#set(name, '')
    this.#set('form', this.#ids.token(16))
  }

  /** Values of `Set-Cookie` headers. */
  setCookies(): string[] {
    const { base, secure } = this.#request
    const tail = `; Path=${base === '' ? '/' : base}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
    return [...this.#changed].map(([name, value]) => {
      const age = value === '' ? 0 : thirtyDays
      return `${names[name]}=${value}; Max-Age=${age}${tail}`
    })
  }

  #get(name: CookieName): string | undefined {
    const changed = this.#changed.get(name)
    if (changed !== undefined) return changed === '' ? undefined : changed
    return this.#request.cookies.get(names[name])
  }

  #token(name: CookieName): string | undefined {
    const value = this.#get(name)
    return value !== undefined && token.test(value) ? value : undefined
  }

  #set(name: CookieName, value: string): string {
    this.#changed.set(name, value)
    return value
  }
}
