export { type Client, type Contract, defineContract, type Handlers, type HttpVerb, type Method, type Methods } from './contract.js'
