export type {
  Bus,
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from './bus.js'
export { directBus } from './direct-bus.js'
export { issueDirectCredential } from './direct-credential.js'
export type { DirectListen } from './direct-endpoint.js'
export type { DirectBus, DirectBusOptions, DirectInfo, DirectLimits } from './direct-options.js'
export type { BusIdentity } from './link.js'
export { memoryBus } from './memory-bus.js'
export { type LocalStreams, type OpenStreamsOptions, openStreams } from './open-streams.js'
export { type QuotaDesk, type QuotaDeskOptions, quotaDesk } from './quota.js'
export { quotaBus } from './quota-bus.js'
export type { BusQuota, TenantLimits } from './quota-limits.js'
export { type NatsTenant, type NatsUser, natsAccounts } from './quota-nats.js'
export { type RemoteStreamsOptions, remoteStreams } from './remote-streams.js'
export { type ServeStreamsOptions, type StreamAction, serveStreams } from './serve-streams.js'
export type {
  Bucket,
  BucketChange,
  BucketConfig,
  BucketEntry,
  ConsumeOptions,
  ConsumerConfig,
  ConsumerInfo,
  DeadLetter,
  Delivery,
  Durability,
  PublishAck,
  StartAt,
  StreamConfig,
  StreamInfo,
  StreamMessage,
  StreamPublishOptions,
  StreamSubscription,
  Streams,
} from './stream.js'
export type { StreamLimits } from './stream-log/log-limits.js'
export { covers } from './subject.js'
export { type BusConnectionState, type ConnectLimits, type ConnectOptions, connectBus } from './unix-client.js'
export { type BusHub, type BusHubLimits, type ListenOptions, listenBus } from './unix-hub.js'
