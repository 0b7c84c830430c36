export type {
  Bus,
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from './bus.js'
export { directBus } from './direct/direct-bus.js'
export { issueDirectCredential } from './direct/direct-credential.js'
export type { DirectListen } from './direct/direct-endpoint.js'
export type { DirectBus, DirectBusOptions, DirectInfo, DirectLimits } from './direct/direct-options.js'
export type { BusIdentity } from './link.js'
export { memoryBus } from './memory-bus.js'
export { type QuotaDesk, type QuotaDeskOptions, quotaDesk } from './quota/quota.js'
export { quotaBus } from './quota/quota-bus.js'
export { type BusQuota, defaultTenantLimits, type TenantLimits } from './quota/quota-limits.js'
export { type NatsTenant, type NatsUser, natsAccounts } from './quota/quota-nats.js'
export { type RetainedWatch, type WatchRetainedOptions, watchRetained } from './quota/quota-retained.js'
export { type LocalStreams, type OpenStreamsOptions, openStreams } from './stream/open-streams.js'
export { type RemoteStreamsOptions, remoteStreams } from './stream/remote-streams.js'
export { type ServeStreamsOptions, type StreamAction, serveStreams } from './stream/serve-streams.js'
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
