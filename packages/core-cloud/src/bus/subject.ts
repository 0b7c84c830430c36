import { CloudError } from '../kernel/errors.js'

/** Longest subject or pattern, characters. */
const maxSubjectLength = 255

const subjectForm = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const patternForm = /^(([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?|>)$/

/** True for something a message can be sent to: tokens without wildcards. */
export function isSubject(text: string): boolean {
  return text.length <= maxSubjectLength && subjectForm.test(text)
}

/** True for something one can listen on: `*` stands for one token, a final `>` for one or more. */
export function isPattern(text: string): boolean {
  return text.length <= maxSubjectLength && patternForm.test(text)
}

/** @throws CloudError `core.bus.invalid-subject`. */
export function checkSubject(subject: string): void {
  if (!isSubject(subject)) {
    throw new CloudError('core.bus.invalid-subject', `'${subject.slice(0, 80)}' is not a subject`, { field: 'subject' })
  }
}

/** @throws CloudError `core.bus.invalid-subject`. */
export function checkPattern(pattern: string): void {
  if (!isPattern(pattern)) {
    throw new CloudError('core.bus.invalid-subject', `'${pattern.slice(0, 80)}' is not a subject pattern`, {
      field: 'subject',
    })
  }
}

/** @throws CloudError `core.bus.invalid-subject` when a queue's name has not the form of a subject. */
export function checkQueue(queue: string): void {
  if (!isSubject(queue)) {
    throw new CloudError('core.bus.invalid-subject', `'${queue.slice(0, 80)}' is not a queue name`, { field: 'queue' })
  }
}

/**
 * True when everything `wanted` can stand for is allowed by `allowed`. Both may have wildcards;
 * with a plain subject as `wanted` this is ordinary matching.
 */
export function covers(allowed: string, wanted: string): boolean {
  if (allowed === wanted) return true
  const mask = allowed.split('.')
  const tokens = wanted.split('.')
  for (let index = 0; index < mask.length; index++) {
    const token = tokens[index]
    if (token === undefined) return false
    if (mask[index] === '>') return true
    if (token === '>') return false
    if (mask[index] !== '*' && mask[index] !== token) return false
  }
  return mask.length === tokens.length
}

/** True when one of the patterns allows it. */
export function coveredBy(allowed: readonly string[], wanted: string): boolean {
  return allowed.some(pattern => covers(pattern, wanted))
}

/** True when some subject fits both patterns. */
export function overlap(one: string, other: string): boolean {
  const left = one.split('.')
  const right = other.split('.')
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const a = left[index]
    const b = right[index]
    if (a === undefined || b === undefined) return false
    if (a === '>' || b === '>') return true
    if (a !== b && a !== '*' && b !== '*') return false
  }
  return true
}
