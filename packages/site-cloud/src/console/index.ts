export { type ConsoleOptions, createConsole } from './console.js'
export { type ConsoleSession, ConsoleUsers, type Role, roleScopes } from './console-users.js'
