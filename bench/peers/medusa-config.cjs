// Medusa's configuration; copied into the folder in which a benchmark runs it. All modules are those in its own process.
const { defineConfig } = require('@medusajs/framework/utils')

// Whatever becomes of the benchmark, no Medusa outlives it.
process.once('disconnect', () => process.exit(0))
const { searchParams } = new URL(process.env.DATABASE_URL)
module.exports = defineConfig({
  admin: { disable: true },
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    // Its migrations read the host from here, what serves reads it from the URL.
    databaseDriverOptions: { connection: { ssl: false, host: searchParams.get('host') }, pool: { max: 20 } },
    http: {
      storeCors: '*',
      adminCors: '*',
      authCors: '*',
      jwtSecret: process.env.BENCH_SECRET,
      cookieSecret: process.env.BENCH_SECRET,
    },
  },
})
