import { cloudwareStateSuite } from '@aaas/core-cloud/cloudware/suite'
import { cloudwareStateMigrations, sqlCloudwareState } from '@aaas/site-cloud/template'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openTestDatabase } from '@aaas/testing'
import { test } from 'tap'

cloudwareStateSuite(test, async () => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  await migrate(database, [cloudwareStateMigrations])
  return {
    stateFor: packageName => sqlCloudwareState({ database, packageName }),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
})
