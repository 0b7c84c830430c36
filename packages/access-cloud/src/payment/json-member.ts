/**
 * The exact text of one member of the outermost JSON object, as Alipay's signatures cover it: the bytes between the
 * colon and the comma, not a re-serialised value. Looks at the outermost level only, so that a member of the same name
 * inside another value cannot be taken for it.
 * @returns undefined when the text is not an object or has no such member, or has it twice.
 */
export function jsonMemberText(text: string, name: string): string | undefined {
  let at = skipSpace(text, 0)
  if (text[at] !== '{') return undefined
  at = skipSpace(text, at + 1)
  let found: string | undefined
  while (text[at] === '"') {
    const nameEnd = stringEnd(text, at)
    const member = text.slice(at + 1, nameEnd - 1)
    at = skipSpace(text, nameEnd)
    if (text[at] !== ':') return undefined
    const start = skipSpace(text, at + 1)
    const end = valueEnd(text, start)
    if (member === name) {
      if (found !== undefined) return undefined
      found = text.slice(start, end).trimEnd()
    }
    at = skipSpace(text, end)
    if (text[at] !== ',') break
    at = skipSpace(text, at + 1)
  }
  return text[at] === '}' ? found : undefined
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && /\s/.test(text[at] ?? '')) at += 1
  return at
}

/** Index after the closing quote; the text's length when it is missing. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1
    else if (text[at] === '"') return at + 1
  }
  return text.length
}

function valueEnd(text: string, start: number): number {
  let depth = 0
  let at = start
  while (at < text.length) {
    const char = text[at]
    if (char === '"') {
      at = stringEnd(text, at)
      continue
    }
    if (char === '{' || char === '[') depth += 1
    if (char === '}' || char === ']' || char === ',') {
      if (depth === 0) return at
      if (char !== ',') depth -= 1
    }
    at += 1
  }
  return at
}
