export { apiKeyMigrations } from './api-key-migrations.js'
export { type ApiKey, ApiKeys } from './api-keys.js'
export { createOpenApi, type OpenApi, type OpenApiOptions } from './open-api.js'
export { RateLimiter } from './rate-limit-core.js'
