// Rules that need types or that keep the layers apart. Formatting is biome's.
import boundaries from 'eslint-plugin-boundaries'
import tseslint from 'typescript-eslint'

const layers = ['core-cloud', 'support-cloud', 'access-cloud', 'business-cloud', 'site-cloud']
const outside = [
  { object: 'Date', property: 'now', message: 'Take a Clock.' },
  { object: 'Math', property: 'random', message: 'Take Ids or a random function.' },
  { object: 'crypto', property: 'randomUUID', message: 'Take Ids.' },
  { object: 'process', property: 'env', message: 'Take configuration as an argument.' },
]
const reachThrough = {
  regex: `(^|/)(${[...layers, 'testing'].join('|')})/(src|dist)/`,
  message: 'Import another package by its name, through what it exports.',
}
const container = { name: 'inversify', message: 'Only module.ts imports inversify.' }

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      '**/node_modules/**',
      '**/fixture/**',
      'examples/**',
      'tools/**',
      'bench/**',
      '**/*.mjs',
      '**/*.cjs',
    ],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['packages/*/{src,test}/**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // tap itself waits for what its `test` returns; every other promise is ours.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: 'tap', name: 'test' }] },
      ],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { args: 'none', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      'no-restricted-syntax': ['error', { selector: 'ExportAllDeclaration', message: 'Name what you export.' }],
      'no-restricted-imports': ['error', { patterns: [reachThrough] }],
      eqeqeq: 'error',
      'no-debugger': 'error',
    },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    plugins: { boundaries },
    settings: {
      'import/resolver': { [`${import.meta.dirname}/tools/import-resolver.cjs`]: {} },
      'boundaries/elements': [...layers, 'testing'].map(name => ({ type: name, pattern: `packages/${name}` })),
    },
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: ['testing', ...layers].map((name, index) => ({
            from: { element: { type: name } },
            allow: [name, ...layers.slice(0, index)].map(type => ({ to: { element: { type } } })),
          })),
        },
      ],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
    },
  },
  {
    // The outside world comes in as arguments; system-*.ts files and the command line bring it.
    files: ['packages/*/src/**/*.ts'],
    ignores: ['packages/*/src/**/system-*.ts', 'packages/site-cloud/src/cli/**', 'packages/testing/src/**'],
    rules: {
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'console'],
      'no-restricted-properties': ['error', ...outside],
    },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    ignores: ['packages/*/src/**/module.ts'],
    rules: { 'no-restricted-imports': ['error', { paths: [container], patterns: [reachThrough] }] },
  },
)
