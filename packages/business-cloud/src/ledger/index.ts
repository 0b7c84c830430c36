export { AccountBalance, LedgerCheck, ledgerContract } from './ledger-contract.js'
