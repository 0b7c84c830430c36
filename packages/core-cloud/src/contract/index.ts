export { busClient } from './bus-client.js'
export { type ServedContract, type ServeOptions, serveContract } from './bus-server.js'
export { type Command, type CommandOption, type CommandValues, commandsOf, type OptionType } from './commands.js'
export {
  type Client,
  type Contract,
  defineContract,
  type Handlers,
  type HttpVerb,
  type Method,
  type Methods,
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
export { localClient } from './local-client.js'
export { type Json, type OpenApiOptions, openApiDocument } from './openapi.js'
export { propertiesOf, valueOfText } from './text-values.js'
export { newTraceId, traceIdOf, traceparentOf } from './trace.js'
export { checkInput, type Flaw, flawOf, validatorOf } from './validation.js'
