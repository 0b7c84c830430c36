import type { Payment } from '@aaas/access-cloud/payment'
import { checkShopInvariants, type Order } from '@aaas/business-cloud/order'
import { checkPaymentInvariants, OrderPaymentService } from '@aaas/business-cloud/payment'
import { silentLogger } from '@aaas/core-cloud/kernel'
import { callContext, openShop, placeInput, type Shop } from '../order/shop-fixture.js'
import { FakeGateway } from './fake-gateway.js'

/** A shop with payments and a gateway in memory. */
export interface PaymentBench extends AsyncDisposable {
  readonly shop: Shop
  readonly gateway: FakeGateway
  readonly payments: OrderPaymentService
  /** Places an order of 1000 and opens its payment. */
  order(): Promise<Order>
  notify(eventId: string, payment: Payment): Promise<unknown>
  /** Reconciles until nothing is due for an hour. */
  settle(): Promise<void>
  states(number: string): Promise<{ order: string; payment: string | undefined }>
  breaches(): Promise<readonly unknown[]>
}

export async function openPayments(): Promise<PaymentBench> {
  const shop = await openShop({ stock: { a: 1000 } })
  const gateway = new FakeGateway()
  const { database, clock } = shop
  const payments = new OrderPaymentService({ database, clock, gateway, orders: shop.orders, logger: silentLogger })
  let count = 0
  return {
    ...{ shop, gateway, payments },
    async order() {
      count += 1
      const order = await shop.orders.place(placeInput(['a', 1]), callContext(`key-${count}`))
      await payments.start({ number: order.number, returnUrl: 'https://shop/back' }, callContext())
      return order
    },
    notify: (eventId, payment) => payments.paymentChanged({ eventId, payment }),
    async settle() {
      for (let round = 0; round < 12; round++) {
        await shop.clock.pass(300_000)
        await payments.reconcile(shop.clock.now())
      }
    },
    async states(number) {
      const [row] = await shop.database.query<{ state: string }>({
        text: 'select state from order_payment where order_number = $1',
        values: [number],
      })
      return { order: (await shop.orders.find(number)).state, payment: row?.state }
    },
    async breaches() {
      return [...(await checkShopInvariants(shop.database)), ...(await checkPaymentInvariants(shop.database))]
    },
    [Symbol.asyncDispose]: () => shop[Symbol.asyncDispose](),
  }
}
