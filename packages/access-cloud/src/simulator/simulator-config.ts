import { type Static, Type } from 'typebox'

const key = Type.String({ minLength: 100, maxLength: 16_384 })

export const AlipaySimulatorConfig = Type.Object(
  {
    apps: Type.Array(
      Type.Object(
        {
          appId: Type.String({ minLength: 1, maxLength: 32 }),
          /** The merchant's user id, as it stands in notifications. */
          sellerId: Type.String({ minLength: 1, maxLength: 32 }),
          /** Shown on the cashier page; default the app id. */
          merchantName: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
          /** Verifies the merchant's requests: PEM, or base64. */
          merchantPublicKeyPem: key,
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 1_000 },
    ),
    /** The simulated Alipay's private key; merchants get its public half. */
    privateKeyPem: key,
    /** Seconds from a failed notification to the next; default as the real one: 4 m, 10 m, 10 m, 1 h, 2 h, 6 h, 15 h. */
    notifyDelaysSeconds: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 86_400 }), { maxItems: 20 })),
  },
  { additionalProperties: false },
)
export type AlipaySimulatorConfig = Static<typeof AlipaySimulatorConfig>

export const SimulatorConfig = Type.Object(
  {
    alipay: AlipaySimulatorConfig,
    /** Bearer key of the admin endpoints (fault plans, list of trades); absent: there are none. */
    adminKey: Type.Optional(Type.String({ minLength: 16, maxLength: 256 })),
  },
  { additionalProperties: false },
)
export type SimulatorConfig = Static<typeof SimulatorConfig>

/** What goes wrong on purpose, for one trade or every trade of an app. */
export const FaultPlan = Type.Object(
  {
    notify: Type.Optional(
      Type.Object(
        {
          /** Milliseconds by which every first notification is late. */
          delayMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400_000 })),
          /** Attempts that are lost on the way. */
          drop: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
          /** Extra copies with the same notify_id. */
          duplicates: Type.Optional(Type.Integer({ minimum: 0, maximum: 10 })),
          wrongSignature: Type.Optional(Type.Boolean()),
          /** Signed correctly, but 0.01 too much. */
          wrongAmount: Type.Optional(Type.Boolean()),
          /** The notification arrives before the buyer is back at the shop. */
          beforeReturn: Type.Optional(Type.Boolean()),
          /** After the news of the payment comes older news: WAIT_BUYER_PAY. */
          outOfOrder: Type.Optional(Type.Boolean()),
        },
        { additionalProperties: false },
      ),
    ),
    response: Type.Optional(
      Type.Object(
        {
          /** The API method concerned, such as `alipay.trade.refund`; default every one. */
          method: Type.Optional(Type.String({ maxLength: 64 })),
          mode: Type.Union([
            Type.Literal('timeout-before'),
            Type.Literal('timeout-after'),
            Type.Literal('wrong-signature'),
            Type.Literal('system-error'),
          ]),
          /** How many calls are hit. */
          times: Type.Integer({ minimum: 0, maximum: 10_000 }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
export type FaultPlan = Static<typeof FaultPlan>
