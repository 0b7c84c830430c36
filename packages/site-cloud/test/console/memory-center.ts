import type { Handlers } from '@aaas/core-cloud/contract'
import type { Actor, CallContext } from '@aaas/core-cloud/kernel'
import type { Site, siteCenterContract } from '../../src/site-center/site-center-contract.js'

export interface Call {
  readonly method: string
  readonly input: unknown
  readonly actor: Actor | undefined
}

export const digest = 'a'.repeat(128)

const shop: Site = {
  site: 'shop',
  kind: 'site',
  hostNames: ['shop.localhost'],
  version: 2,
  servingVersion: 2,
  phase: 'live',
  settled: true,
  instances: [
    {
      id: 'i-one',
      version: 2,
      state: 'ready',
      pid: 42,
      startedAt: 1_700_000_000_000,
      restarts: 0,
      memoryBytes: 100_000_000,
      cpuMs: 1_500,
    },
  ],
  wantedInstances: 1,
  concurrency: 64,
  maintenance: false,
  cloudware: [],
  extensionPoints: ['order.place@1'],
  urls: ['http://shop.localhost:8080/', 'http://127.0.0.1:8080/s/shop/'],
}

const order = {
  number: '20261120-ABCD1234',
  state: 'paid',
  currency: 'CNY',
  subtotal: 12_300,
  freight: 0,
  total: 12_300,
  lines: [
    {
      sku: 'CUP-1',
      name: { 'zh-CN': '杯子', en: 'Cup' },
      image: '',
      slug: 'cup',
      quantity: 1,
      unitAmount: 12_300,
      adjustments: [],
      amount: 12_300,
    },
  ],
  // A buyer may write anything: pages must show it as text.
  address: { name: '<script>alert(1)</script>', phone: '13800000000', region: 'Shanghai', line: '1 "Nanjing" Road' },
  supplierOrders: [{ supplier: 'self', state: 'paid', amount: 12_300 }],
  paymentId: 'pay-1',
  placedAt: 1_700_000_000_000,
  expiresAt: 1_700_001_800_000,
  paidAt: 1_700_000_060_000,
}

const answers: Readonly<Record<string, unknown>> = {
  'business.order.list': {
    total: 1,
    orders: [
      {
        number: order.number,
        state: 'paid',
        total: 12_300,
        currency: 'CNY',
        buyerName: '<b>Li</b>',
        units: 1,
        placedAt: order.placedAt,
      },
    ],
  },
  'business.order.get': order,
  'business.inventory.levels': { total: 1, levels: [{ sku: 'CUP-1', onHand: 5, reserved: 1, available: 4 }] },
  'business.ledger.balances': { accounts: [] },
  'business.ledger.check': { balanced: true, accounts: 3, transfers: 9, difference: 0, wrongAccounts: [] },
  'site.shop-admin.listApiKeys': {
    keys: [{ keyId: 'k1', name: 'erp', scopes: ['order.place'], requestsPerSecond: 10, createdAt: 1_700_000_000_000 }],
  },
  'site.shop-admin.createApiKey': { keyId: 'k2', apiKey: 'aaas_k2_shown-once' },
  'site.shop-admin.consoleViews': { views: [] },
}

/** A site centre that answers from memory and remembers who called what. Scopes are the caller's business, as in the real one. */
export function memoryCenter(): { readonly center: Handlers<typeof siteCenterContract>; readonly calls: Call[] } {
  const calls: Call[] = []
  const answer = <T>(method: string, output: (input: never) => T) => {
    return async (input: unknown, context: CallContext): Promise<T> => {
      calls.push({ method, input, actor: context.actor })
      return output(input as never)
    }
  }
  const site = (): Site => shop
  const call = ({ contract, method }: { contract: string; method: string }): { output: unknown } => ({
    output: answers[`${contract}.${method}`] ?? {},
  })
  const version = {
    version: 2,
    package: { name: 'site-shop', version: '1.0.1', digest },
    dataLevel: 0,
    pushedAt: 1_700_000_000_000,
    pushedBy: 'cli',
    state: 'deployed' as const,
  }
  const stored = {
    name: 'vip',
    version: '1.0.0',
    digest,
    kind: 'cloudware',
    publisher: 'local',
    extensionPoints: [],
    hooks: [],
    bytes: 9,
    uploadedAt: 0,
  }
  const center = {
    uploadPackage: answer('uploadPackage', () => stored),
    listPackages: answer('listPackages', () => ({ packages: [stored] })),
    pushVersion: answer('pushVersion', () => version),
    listSites: answer('listSites', () => ({ sites: [shop] })),
    getSite: answer('getSite', site),
    listVersions: answer('listVersions', () => ({ versions: [version, { ...version, version: 1 }] })),
    deploy: answer('deploy', site),
    rollback: answer('rollback', site),
    scale: answer('scale', site),
    restart: answer('restart', site),
    setMaintenance: answer('setMaintenance', site),
    addCloudware: answer('addCloudware', site),
    removeCloudware: answer('removeCloudware', site),
    logs: answer('logs', () => ({ records: [] })),
    metrics: answer('metrics', () => ({ series: [] })),
    querySite: answer('querySite', call),
    callSite: answer('callSite', call),
    usage: answer('usage', () => ({ counters: { requests: 7 }, readings: 1 })),
    auditLog: answer('auditLog', () => ({ entries: [] })),
  } as unknown as Handlers<typeof siteCenterContract>
  return { center, calls }
}
