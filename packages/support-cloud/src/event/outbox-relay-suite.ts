import { deliveryTests, inboxTests, subscriberTests } from './outbox-delivery-suite.js'
import { crashTests, gapTests, giveUpTests, orderTests, retryTests, sharingTests } from './outbox-failure-suite.js'
import type { OutboxRelaySuiteFixture, WithFixture } from './outbox-suite-fixture.js'

export type { OutboxRelaySuiteFixture } from './outbox-suite-fixture.js'

type RunTest = (name: string, run: () => Promise<void>) => unknown

/** Every promise of the {@link OutboxRelay}. */
export function outboxRelaySuite(test: RunTest, open: () => Promise<OutboxRelaySuiteFixture>): void {
  const withFixture: WithFixture = (name, run) => {
    test(name, async () => {
      const fixture = await open()
      try {
        await run(fixture)
      } finally {
        await fixture[Symbol.asyncDispose]()
      }
    })
  }
  deliveryTests(withFixture)
  subscriberTests(withFixture)
  inboxTests(withFixture)
  retryTests(withFixture)
  giveUpTests(withFixture)
  sharingTests(withFixture)
  orderTests(withFixture)
  gapTests(withFixture)
  crashTests(withFixture)
}
