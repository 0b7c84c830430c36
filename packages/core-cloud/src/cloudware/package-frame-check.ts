import { Type } from 'typebox'
import type { PackageFrame } from './frames.js'
import { validatorOf } from './schema-check.js'

const id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const error = Type.Object({ message: Type.String(), code: Type.Optional(Type.String()) })
const key = Type.String({ minLength: 1, maxLength: 200 })
const by = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })

const frameSchema = Type.Union([
  Type.Object({ t: Type.Literal('result'), id }),
  Type.Object({ t: Type.Literal('error'), id, error }),
  Type.Object({ t: Type.Literal('ready') }),
  Type.Object({ t: Type.Literal('failed'), error }),
  Type.Object({ t: Type.Literal('pong'), id }),
  Type.Object({ t: Type.Literal('state'), id, op: Type.String() }),
  Type.Object({
    t: Type.Literal('log'),
    level: Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')]),
    message: Type.String(),
    fields: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  }),
  Type.Object({ t: Type.Literal('memory'), bytes: Type.Number({ minimum: 0 }) }),
])

const stateSchema = Type.Union([
  Type.Object({ op: Type.Literal('get'), key }),
  Type.Object({ op: Type.Literal('put'), key, value: Type.Unknown() }),
  Type.Object({ op: Type.Literal('increment'), key, by }),
  Type.Object({ op: Type.Literal('increment-once'), key, by, once: key }),
])

/** True for something a well-behaved package process sends. The content of a state request is checked apart. */
export function isPackageFrame(value: unknown): value is PackageFrame {
  return validatorOf(frameSchema).Check(value)
}

/** True when key, number and value of a state request are within the limits of the port. */
export function isStateRequest(value: unknown): boolean {
  if (!validatorOf(stateSchema).Check(value)) return false
  const { value: stored } = value as { value?: unknown }
  return stored === undefined || Buffer.byteLength(JSON.stringify(stored)) <= 65_536
}
