export { Payment, PaymentState, paymentContract, paymentListenerContract } from './payment-contract.js'
