export { Party, partyContract } from './party-contract.js'
