import { streamBucketSuite } from './stream-bucket-suite.js'
import { streamConsumeSuite } from './stream-consume-suite.js'
import { streamDeadSuite } from './stream-dead-suite.js'
import { streamInputSuite } from './stream-input-suite.js'
import { streamMembersSuite } from './stream-members-suite.js'
import { streamPublishSuite } from './stream-publish-suite.js'
import { streamRestartSuite } from './stream-restart-suite.js'
import { onStreams, type StreamDriver, type StreamFixture, type SuiteTest } from './stream-suite-ends.js'

export type { StreamDriver, StreamFixture, SuiteTest } from './stream-suite-ends.js'

/** Every promise of the {@link Streams} port. A driver is done when it passes. */
export function streamSuite(test: SuiteTest, open: () => Promise<StreamFixture>, driver: StreamDriver): void {
  const on = onStreams(test, open, driver)
  streamPublishSuite(on)
  streamConsumeSuite(on)
  streamMembersSuite(on)
  streamDeadSuite(on)
  streamBucketSuite(on)
  streamInputSuite(on)
  streamRestartSuite(on)
}
