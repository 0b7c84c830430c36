import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import type { FaultPlan } from './simulator-config.js'

export type ResponseFault = NonNullable<FaultPlan['response']>['mode']

interface Target {
  readonly appId: string
  /** Absent: every trade of the app that has no plan of its own. */
  readonly outTradeNo?: string
}

/** Fault plans, kept in the database so that they survive a restart of the simulator like its trades do. */
export class FaultPlans {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async set(target: Target, plan: FaultPlan): Promise<void> {
    await this.#database.query({
      text: `insert into sim_alipay_fault (app_id, out_trade_no, plan) values ($1, $2, $3)
        on conflict (app_id, out_trade_no) do update set plan = excluded.plan`,
      values: [target.appId, target.outTradeNo ?? '', JSON.stringify(plan)],
    })
  }

  async clear(target: Target): Promise<void> {
    await this.#database.query({
      text: 'delete from sim_alipay_fault where app_id = $1 and out_trade_no = $2',
      values: [target.appId, target.outTradeNo ?? ''],
    })
  }

  /** The plan for the notifications of a trade. */
  async notifyPlan(
    target: Required<Target>,
    tx: Queryable = this.#database,
  ): Promise<NonNullable<FaultPlan['notify']>> {
    const [row] = await tx.query<{ plan: FaultPlan }>({
      name: 'sim-fault-notify',
      text: `select plan from sim_alipay_fault where app_id = $1 and out_trade_no in ($2, '')
        order by out_trade_no desc limit 1`,
      values: [target.appId, target.outTradeNo],
    })
    return row?.plan.notify ?? {}
  }

  /** Uses up one response fault when the plan has one left for this method. */
  async takeResponse(target: Required<Target>, method: string): Promise<ResponseFault | undefined> {
    const [row] = await this.#database.query<{ mode: ResponseFault }>({
      name: 'sim-fault-response',
      text: `update sim_alipay_fault fault
        set plan = jsonb_set(plan, '{response,times}', to_jsonb((plan->'response'->>'times')::int - 1))
        where app_id = $1 and out_trade_no = (
            select out_trade_no from sim_alipay_fault where app_id = $1 and out_trade_no in ($2, '')
            order by out_trade_no desc limit 1)
          and (plan->'response'->>'times')::int > 0
          and coalesce(plan->'response'->>'method', $3) = $3
        returning plan->'response'->>'mode' as mode`,
      values: [target.appId, target.outTradeNo, method],
    })
    return row?.mode
  }
}
