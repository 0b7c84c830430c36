import { halfOfStreamSuite } from '../fixture/nats-streams.js'

halfOfStreamSuite('streams on one NATS server', 1, { durabilities: ['relaxed'], restarts: 'resume' })
