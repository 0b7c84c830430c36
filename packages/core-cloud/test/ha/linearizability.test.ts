import assert from 'node:assert/strict'
import { checkLinearizable, type HistoryCall, type SequentialModel, seededRandom } from '@aaas/testing'
import { test } from 'tap'

type Input = { readonly put: number } | { readonly get: true }
type Output = { readonly value: number | undefined }
type Call = HistoryCall<Input, Output>

const register: SequentialModel<number | undefined, Input, Output> = {
  initial: undefined,
  step(state, input, output) {
    if ('put' in input) return { state: input.put }
    return output === undefined || output.value === state ? { state } : undefined
  },
  key: String,
}

const put = (client: number, startedAt: number, endedAt: number | undefined, value: number): Call => ({
  client,
  input: { put: value },
  startedAt,
  ...(endedAt === undefined ? {} : { endedAt, output: { value: undefined } }),
})
const get = (client: number, startedAt: number, endedAt: number, value: number | undefined): Call => ({
  client,
  input: { get: true } as const,
  startedAt,
  endedAt,
  output: { value },
})

test('overlapping calls may take either order; calls apart may not', async () => {
  const overlapping = [put(1, 0, 10, 1), get(2, 5, 8, undefined), get(3, 6, 9, 1)]
  assert(checkLinearizable(register, overlapping).linearizable)
  const apart = [put(1, 0, 10, 1), get(2, 11, 12, undefined)]
  const verdict = checkLinearizable(register, apart)
  assert(!verdict.linearizable)
  assert.deepEqual(verdict.stuck, [apart[1]])
})

test('a value that was seen is not unseen again', async () => {
  const back = [put(1, 0, 20, 1), get(2, 5, 8, 1), get(3, 9, 12, undefined)]
  assert(!checkLinearizable(register, back).linearizable)
})

test('a call without an answer may have its effect late, or never', async () => {
  assert(checkLinearizable(register, [put(1, 0, undefined, 1), get(2, 50, 60, 1)]).linearizable)
  assert(checkLinearizable(register, [put(1, 0, undefined, 1), get(2, 50, 60, undefined)]).linearizable)
  assert(!checkLinearizable(register, [get(2, 50, 60, 1), put(1, 70, undefined, 1)]).linearizable)
})

test('histories of a real register pass, histories with one wrong answer do not', async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = seededRandom(seed)
    const history = randomHistory(random, 400, 5)
    assert(checkLinearizable(register, history).linearizable, `seed ${seed}`)
    const reads = history.filter(call => 'get' in call.input && call.endedAt !== undefined)
    const wrong = reads[Math.floor(random() * reads.length)]
    const spoilt = history.map(call => (call === wrong ? { ...call, output: { value: 1_000_000 } } : call))
    assert(!checkLinearizable(register, spoilt).linearizable, `seed ${seed}, spoilt`)
  }
})

test('a search that grows too large is given up, and says so', async () => {
  const history = Array.from({ length: 30 }, (_, client) => put(client, 0, 100, client))
  const verdict = checkLinearizable(register, [...history, get(99, 101, 102, -1)], { maxStates: 1_000 })
  assert.deepEqual([verdict.linearizable, verdict.gaveUp], [false, true])
})

/** What clients of one register see whose calls take effect somewhere between begin and end. */
function randomHistory(random: () => number, calls: number, clients: number): readonly Call[] {
  const events: { at: number; run: () => void }[] = []
  const history: Call[] = []
  let state: number | undefined
  for (let client = 0; client < clients; client++) {
    let time = random() * 5
    for (let index = 0; index < calls / clients; index++) {
      const startedAt = time
      const effect = startedAt + random() * 10
      const endedAt = effect + random() * 10
      const write = random() < 0.5
      const value = client * 1_000 + index
      const lost = random() < 0.02
      events.push({
        at: effect,
        run: () => {
          if (write) {
            state = value
            history.push(put(client, startedAt, lost ? undefined : endedAt, value))
          } else history.push(get(client, startedAt, endedAt, state))
        },
      })
      time = endedAt + random() * 3
    }
  }
  for (const { run } of events.sort((a, b) => a.at - b.at)) run()
  return history
}
