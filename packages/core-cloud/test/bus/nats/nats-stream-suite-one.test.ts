import { halfOfStreamSuite } from '../fixture/nats-streams.js'

halfOfStreamSuite('streams on one NATS server', 0, { durabilities: ['relaxed'], restarts: 'resume' })
