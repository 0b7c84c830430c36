export { chart, chartAccounts, createChart } from './chart.js'
export { AccountBalance, LedgerCheck, ledgerContract } from './ledger-contract.js'
export { LedgerService } from './ledger-service.js'
