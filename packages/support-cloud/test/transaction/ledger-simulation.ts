import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type LedgerResult, type LedgerTransfer, openLedger } from '@aaas/support-cloud/transaction'
import { seededRandom } from '@aaas/testing'
import { type Item, LedgerOracle, type OracleAccount } from './ledger-oracle.js'

/** The database's time is what the simulation says. */
export async function manualTime(database: Database): Promise<void> {
  await database.script(`create table if not exists test_time (ms bigint not null);
    create or replace function ledger_now() returns timestamptz language sql volatile as
      'select timestamptz ''2026-01-01Z'' + (select max(ms) from test_time) * interval ''1 ms'''`)
}

/** Has `ledger_plain` count the calls that it did by itself. @returns how many so far. */
export async function countPlain(database: Database): Promise<() => Promise<number>> {
  await database.script(`create table test_plain (calls bigint not null); insert into test_plain values (0);
    alter function ledger_plain(jsonb, boolean, text) rename to ledger_plain_itself;
    create function ledger_plain(p_items jsonb, p_strict boolean, p_within text) returns jsonb language plpgsql as $fn$
    declare
      v_remarks jsonb := ledger_plain_itself(p_items, p_strict, p_within);
    begin
      if v_remarks is not null then update test_plain set calls = calls + 1; end if;
      return v_remarks;
    end $fn$`)
  return async () => {
    const [row] = await database.query<{ calls: number }>({ text: 'select calls from test_plain' })
    return row?.calls ?? 0
  }
}

const kinds: readonly (readonly [OracleAccount['limit'], currency: string, shards: number])[] = [
  ['none', 'CNY', 1],
  ['none', 'CNY', 4],
  ['debits', 'CNY', 1],
  ['debits', 'CNY', 1],
  ['debits', 'CNY', 1],
  ['debits', 'CNY', 1],
  ['credits', 'CNY', 1],
  ['none', 'USD', 1],
  ['debits', 'USD', 1],
]
const limits = { none: 'none', debits: 'debits-within-credits', credits: 'credits-within-debits' } as const

/** Makes calls that meet each other: few accounts, small amounts, many repeats, conflicts and ends of the same transfers. */
class Caller {
  readonly #random: () => number
  readonly #seed: number
  #count = 0
  #recent: Item[] = []
  #pending: string[] = []
  /** Nothing but movements between the accounts without a limit, and ends of such. */
  #plain = false
  /** Of a plain call: 0 ends only, 1 pending only, 2 movements, 3 everything. */
  #flavour = 0
  #plainPending: string[] = []
  #plainRecent: Item[] = []
  /** Made by this call: later ones end them. */
  #waiting: string[] = []
  readonly accounts: string[] = []

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#seed = seed
  }

  below(count: number): number {
    return Math.floor(this.#random() * count)
  }

  /** 1 to 1000 items, chains whole. */
  call(): Item[] {
    const most = [1, 1, 3, 4, 12, 60, 300, 1000][this.below(8)] ?? 1
    const size = 1 + this.below(most)
    this.#plain = this.below(2) === 0
    this.#flavour = this.below(4)
    this.#plainPending.push(...this.#waiting.splice(0))
    if (this.#plainPending.length > 500) this.#plainPending = this.#plainPending.slice(-300)
    const items: Item[] = []
    while (items.length < size) items.push(...this.#chain())
    return items.slice(0, 1000).map((item, index, all) => (index === all.length - 1 ? this.#last(item) : item))
  }

  #last({ linked, ...item }: Item): Item {
    return linked ? { ...item, id: this.#id() } : item
  }

  #chain(): Item[] {
    const recent = this.#plain ? this.#plainRecent : this.#recent
    const old = this.below(this.#plain ? 60 : 20) === 0 ? recent[this.below(recent.length)] : undefined
    if (old !== undefined) return [this.below(2) === 0 ? old : { ...old, ref: `other${this.below(3)}` }].map(unlinked)
    if (this.#plain || this.below(10) > 0) return [this.#item()]
    const chain = Array.from({ length: 2 + this.below(4) }, () => this.#item())
    return chain.map((item, index) => (index < chain.length - 1 ? { ...item, linked: true } : item))
  }

  #item(): Item {
    if (this.#plain) {
      const plain = this.#plainItem()
      this.#plainRecent = [...this.#plainRecent.slice(-200), plain]
      return plain
    }
    const item = this.below(3) === 0 && this.#pending.length > 0 ? this.#end() : this.#movement()
    this.#recent.push(item)
    if (this.#recent.length > 400) this.#recent = this.#recent.slice(200)
    if (item.kind === 'pending') this.#pending.push(item.id)
    if (this.#pending.length > 60) this.#pending = this.#pending.slice(30)
    return item
  }

  /** Where all are ends, also of transfers that reach accounts with limits; those may have ended. */
  #takePending(): string | undefined {
    if (this.#flavour === 0 && this.below(3) === 0) return this.#pending.pop()
    return this.#plainPending.shift()
  }

  #plainItem(): Item {
    const ends = this.#flavour === 0 || (this.#flavour === 3 && this.below(3) === 0)
    const pending = ends ? this.#takePending() : undefined
    if (pending !== undefined) {
      const part = this.below(3) === 0 ? { amount: 1 } : {}
      const end = { id: this.#id(), pending, ref: `end${this.below(3)}` }
      return this.below(3) === 0 ? { kind: 'void', ...end } : { kind: 'post', ...end, ...part }
    }
    const side = this.below(2)
    const [debit, credit] = [this.accounts[side] ?? '', this.accounts[1 - side] ?? '']
    const item = { id: this.#id(), debit, credit, amount: 1 + this.below(40), currency: 'CNY', code: 'x' }
    if (this.#flavour !== 1 && this.below(2) === 0) return { kind: 'posted', ...item }
    if (this.below(2) === 0) this.#waiting.push(item.id)
    return { kind: 'pending', ...item, ...(this.below(9) === 0 ? { timeoutMs: 1 + this.below(5000) } : {}) }
  }

  #end(): Item {
    const kind = this.below(3) === 0 ? 'void' : 'post'
    const pending = this.below(30) === 0 ? this.#id() : (this.#pending[this.below(this.#pending.length)] ?? this.#id())
    const amount = kind === 'post' && this.below(2) === 0 ? { amount: 1 + this.below(40) } : {}
    return { kind, id: this.#id(), pending, ...amount }
  }

  #movement(): Item {
    const account = (): string => (this.below(150) === 0 ? `ghost-${this.#seed}` : (this.accounts[this.below(9)] ?? ''))
    const debit = account()
    let credit = account()
    while (credit === debit) credit = account()
    const pending = this.below(3) === 0
    return {
      kind: pending ? 'pending' : 'posted',
      id: this.#id(),
      debit,
      credit,
      amount: 1 + this.below(this.below(10) === 0 ? 400 : 40),
      currency: this.below(8) === 0 ? 'USD' : 'CNY',
      code: 'x',
      ...(this.below(4) === 0 ? { ref: `r${this.below(5)}` } : {}),
      ...(pending && this.below(2) === 0 ? { timeoutMs: 1 + this.below(5000) } : {}),
      ...(this.below(12) === 0 ? { balancingDebit: true } : {}),
      ...(this.below(16) === 0 ? { balancingCredit: true } : {}),
    }
  }

  /** Mostly of version 7 and rising, some that carry no time. */
  #id(): string {
    this.#count += 1
    const hex = this.#count.toString(16).padStart(12, '0')
    const time = (0x019b76da0000 + this.#count).toString(16).padStart(12, '0')
    const head = this.below(5) === 0 ? `${hex.slice(-8)}-0000-4` : `${time.slice(0, 8)}-${time.slice(8)}-7`
    return `${head}${(this.#seed & 0xfff).toString(16).padStart(3, '0')}-8000-${hex}`
  }
}

const unlinked = ({ linked: _, ...item }: Item): Item => item

/** `*` stands before what was stored before, `!` before a reason. */
function answerOf(result: LedgerResult): string {
  if (result.status === 'applied') return `${result.repeated ? '*' : ''}${result.amount}`
  const reason = { 'debit-account-not-found': 'no-debit', 'credit-account-not-found': 'no-credit' }[
    result.reason as string
  ]
  return `${result.status === 'rejected' && result.repeated ? '*' : ''}!${reason ?? result.reason}`
}

/** A call may name an id twice only as an exact copy, where one item of it resolves that id: see the design page. */
function sound(items: readonly Item[]): boolean {
  const chains = new Set<string>()
  let inChain = false
  for (const item of items) {
    if (!inChain) chains.clear()
    if (chains.has(item.id)) return false
    chains.add(item.id)
    inChain = item.linked === true
  }
  const resolved = new Set(items.flatMap(item => (item.pending === undefined ? [] : [item.pending])))
  const ids = items.filter(item => resolved.has(item.id)).map(item => item.id)
  return new Set(ids).size === ids.length
}

/**
 * Runs `operations` transfers from a seed against the oracle and the ledger in `database`, which has {@link manualTime}.
 * @returns what differed first, or nothing.
 */
export async function simulateLedger(
  database: Database,
  { seed, operations }: { readonly seed: number; readonly operations: number },
): Promise<{ readonly flaw?: string; readonly done: number; readonly tally: ReadonlyMap<string, number> }> {
  const ledger = openLedger({ database })
  const oracle = new LedgerOracle()
  const caller = new Caller(seed)
  const tally = new Map<string, number>()
  await database.script('delete from test_time; insert into test_time values (0)')
  for (const [index, [limit, currency, shards]] of kinds.entries()) {
    const id = `s${seed}-${limit}-${index}`
    await ledger.createAccounts([{ id, currency, shards, limit: limits[limit] }])
    oracle.accounts.set(id, { currency, limit, dp: 0, cp: 0, dw: 0, cw: 0 })
    caller.accounts.push(id)
  }
  let done = 0
  for (let call = 0; done < operations; call++) {
    const items = caller.call()
    if (!sound(items)) continue
    const transfers = items as readonly LedgerTransfer[]
    done += items.length
    let actual: unknown
    let expected: unknown
    if (call % 5 === 4 && items.length < 20) {
      expected = oracle.apply(items)
      actual = await ledger.apply(transfers).catch((error: unknown) => {
        if (CloudError.is(error) && error.code.startsWith('support.transaction.')) return undefined
        throw error
      })
    } else {
      const answers = oracle.submit(items)
      for (const answer of answers) {
        const key = answer.replace(/\d+/, 'n')
        tally.set(key, (tally.get(key) ?? 0) + 1)
      }
      expected = answers.join()
      actual = (await ledger.submit(transfers)).map(answerOf).join()
    }
    if (actual !== expected) return { flaw: difference(call, items, String(expected), String(actual)), done, tally }
    if (call % 7 === 6) {
      oracle.now += caller.below(3000)
      await database.query({ text: 'update test_time set ms = $1', values: [oracle.now] })
    }
    if (call % 11 === 10) {
      oracle.expire()
      while ((await ledger.expire()) === 1000);
    }
    if (call % 9 !== 8 && done < operations) continue
    const flaw = await compareBalances(database, oracle)
    if (flaw !== undefined) return { flaw: `call ${call}: ${flaw}`, done, tally }
  }
  const { wrong } = await ledger.verify()
  return { ...(wrong === undefined ? {} : { flaw: `verify: ${JSON.stringify(wrong)}` }), done, tally }
}

function difference(call: number, items: readonly Item[], expected: string, actual: string): string {
  const [wanted, got] = [expected.split(','), actual.split(',')]
  const at = wanted.findIndex((answer, index) => answer !== got[index])
  return `call ${call} of ${items.length}, item ${at}: ${got[at]} instead of ${wanted[at]}: ${JSON.stringify(items[at])}`
}

async function compareBalances(database: Database, oracle: LedgerOracle): Promise<string | undefined> {
  for (const row of await openLedger({ database }).balances([...oracle.accounts.keys()])) {
    const wanted = oracle.accounts.get(row.account)
    const got = [row.debitsPosted, row.creditsPosted, row.debitsPending, row.creditsPending].join()
    if (wanted === undefined || got !== [wanted.dp, wanted.cp, wanted.dw, wanted.cw].join()) {
      return `${row.account}: ${got} instead of ${JSON.stringify(wanted)}`
    }
  }
  return undefined
}
