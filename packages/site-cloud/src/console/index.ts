export { createConsole } from './console.js'
export type { AuditEntry, ConsoleOptions } from './console-parts.js'
export { type ConsoleSession, type ConsoleUser, ConsoleUsers, type Role, roleScopes } from './console-users.js'
