export { type BusClientOptions, busClient } from './bus-client.js'
export { type ServedContract, type ServedEndpoint, type ServeOptions, serveContract } from './bus-server.js'
export {
  type Caller,
  type CallerKey,
  type CallerKeyRing,
  type CallerSigner,
  type CallerSignerOptions,
  type CallerVerifier,
  type CallerVerifierOptions,
  callerKeyRing,
  callerSigner,
  callerVerifier,
} from './caller-claim.js'
export { type Command, type CommandOption, type CommandValues, commandsOf, type OptionType } from './commands.js'
export {
  type Client,
  type Contract,
  defineContract,
  type Handlers,
  type HttpVerb,
  type Items,
  type Method,
  type Methods,
  type StreamKind,
} from './contract.js'
export {
  createHttpApi,
  type HttpApi,
  type HttpApiAnswer,
  type HttpApiOptions,
  type HttpApiRequest,
  type HttpHeaders,
} from './http-api.js'
export { type Fetch, type HttpClientOptions, httpClient } from './http-client.js'
export { type HttpHandlerOptions, httpHandler } from './http-handler.js'
export { type NodeHttpOptions, nodeHttpHandler } from './http-node.js'
export { type HttpService, httpService } from './http-routes.js'
export { type LocalClientOptions, localClient } from './local-client.js'
export { type DirectoryMessage, type MicroOptions, type ServiceDirectory, serveMicro } from './micro.js'
export {
  type CallObserver,
  type CallSpan,
  type CallSurface,
  type ObservedOperation,
  type OperationObserver,
  observers,
} from './observer.js'
export { type Json, type OpenApiOptions, openApiDocument } from './openapi.js'
export type { StreamLimits } from './stream-limits.js'
export { propertiesOf, valueOfText } from './text-values.js'
export {
  checkedTraceparent,
  checkedTracestate,
  newTraceId,
  type TraceFacts,
  traceIdOf,
  traceparentOf,
} from './trace.js'
export { checkInput, type Flaw, flawOf, validatorOf } from './validation.js'
export { type VersionRoutes, versionRoutes } from './version-routes.js'
export type { VersionPolicy, WeightedVersion } from './version-routing-core.js'
