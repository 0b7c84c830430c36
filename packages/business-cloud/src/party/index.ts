export { Party, partyContract } from './party-contract.js'
export { partyMigrations } from './party-migrations.js'
export { type PartyDeps, PartyService } from './party-service.js'
export { defaultCost, PasswordHasher, type ScryptCost } from './password.js'
