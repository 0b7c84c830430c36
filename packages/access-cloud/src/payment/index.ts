export { type AlipayProviderOptions, alipayProvider } from './alipay-provider.js'
export {
  type AlipayParams,
  rsaPrivateKey,
  rsaPublicKey,
  signNotification,
  signRequest,
  signRsa2,
  verifyNotification,
  verifyRequest,
} from './alipay-signature.js'
export { decimalToMinor, minorToDecimal } from './decimal-amount.js'
export type { DeliverPaymentEvent, PaymentEventMessage } from './event-delivery.js'
export { formParams, readBody } from './http-form.js'
export type { Disposition } from './notification-inbox.js'
export { type AuditVerdict, verifyAudit } from './payment-audit.js'
export { Payment, PaymentState, paymentContract, paymentListenerContract } from './payment-contract.js'
export { PaymentGateway, type PaymentGatewayDeps } from './payment-gateway.js'
export { paymentHttpHandler } from './payment-http.js'
export { nextState, type PaymentEvent } from './payment-machine.js'
export { paymentMigrations } from './payment-migrations.js'
export { PaymentConfig, paymentProgram } from './payment-program.js'
export { Poller, type PollerOptions } from './poller.js'
export type {
  Outcome,
  PaymentProvider,
  PrepayOrder,
  ProviderCall,
  ProviderNotification,
  RefundOrder,
  Trade,
  TradeStatus,
} from './provider.js'
export { configValue, parseConfig } from './service-config.js'
export { beijingTime, parseBeijingTime } from './system-beijing-time.js'
