export type { Bus, BusHeaders, BusMessage, BusSubscription, RequestOptions } from './bus.js'
