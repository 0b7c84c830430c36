/** Cycles, upward imports and reaches past a port. */
const order = ['core-cloud', 'support-cloud', 'access-cloud', 'business-cloud', 'site-cloud']
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
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.d\\.ts$' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'], extensions: ['.ts', '.js'] },
  },
}
