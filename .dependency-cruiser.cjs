/** Cycles, upward imports, reaches into another package's files and past another system's port. */
const order = ['core-cloud', 'support-cloud', 'access-cloud', 'business-cloud', 'site-cloud']
// What a system shows to its neighbours in the package: its index, contract and container module, and the file of its port.
const ports = [
  'index',
  'module',
  '[^/]+-contract',
  'bus',
  'contract',
  'cloudware',
  'hooks',
  'manifest',
  'route-table',
  'pool',
]
// `html` is the escaping that every page of the site cloud is written in.
ports.push('database', 'migration', 'sku-facts', 'html')
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: { path: '^packages/' }, to: { circular: true } },
    ...order.map((layer, index) => ({
      name: `layer-${layer}`,
      comment: `${layer} imports only layers below it`,
      severity: 'error',
      from: { path: `^packages/${layer}/src` },
      to: { path: `^packages/(${[...order.slice(index + 1), 'testing'].join('|')})/` },
    })),
    {
      name: 'no-testing-in-product',
      severity: 'error',
      from: { path: '^packages/[^/]+/src', pathNot: '^packages/testing/' },
      to: { path: '^packages/testing/' },
    },
    {
      name: 'no-reach-through',
      comment: 'another package is imported by its name: its exports lead to dist/',
      severity: 'error',
      from: { path: '^packages/([^/]+)/src/' },
      to: { path: '^packages/[^/]+/src/', pathNot: '^packages/$1/' },
    },
    {
      name: 'no-reach-past-port',
      comment: 'another system of the package is imported by its port; the kernel is ports all over',
      severity: 'error',
      from: { path: '^packages/([^/]+)/src/([^/]+)/', pathNot: '/system-[^/]+$' },
      to: {
        path: '^packages/$1/src/[^/]+/',
        pathNot: [`^packages/$1/src/$2/`, '^packages/core-cloud/src/kernel/', `/(${ports.join('|')})\\.ts$`],
      },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.d\\.ts$' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
}
