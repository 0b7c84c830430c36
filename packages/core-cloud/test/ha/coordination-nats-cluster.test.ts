import { overNats } from './coordination/nats-fixture.js'

overNats(3)
