// The service: a contract, and how commands change its state. Deterministic, so that every member comes to the same.
import { defineContract } from '@aaas/core-cloud/contract'
import { defineMachine } from '@aaas/core-cloud/ha'
import { Type } from 'typebox'

const Count = Type.Object({ count: Type.Integer() })

export const counterContract = defineContract({
  name: 'example.counter',
  version: '1.0.0',
  methods: {
    add: { summary: 'Counts on.', input: Type.Object({ by: Type.Integer() }), output: Count },
    read: { summary: 'How far it is.', input: Type.Object({}), output: Count },
  },
})

export const counter = defineMachine({
  contract: counterContract,
  version: 1,
  initial: () => ({ count: 0 }),
  commands: {
    add(state, { by }) {
      state.count += by
      return { count: state.count }
    },
  },
  queries: { read: state => ({ count: state.count }) },
})
