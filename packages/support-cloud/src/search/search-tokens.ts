/** A token of the index that a query asks for. */
export interface QueryTerm {
  readonly token: string
  /** Tokens that begin with it count as well. */
  readonly prefix?: true
}

/**
 * One word of a query: any of the alternatives, each a set of terms that must all be there. Later alternatives may be
 * narrower than the first; they then find nothing more but raise the score of what they find.
 */
export type QueryWord = readonly (readonly QueryTerm[])[]

/** Raise it when the tokens of the same text change: indexes made before are then built again. */
export const tokenFormat = 1

const maxTokenChars = 64
const minPrefixChars = 2
/** Marks whole Chinese words, so that they differ from the pairs of characters beside them. */
const wordMark = 'w'

const letter = '(?:(?!\\p{Script=Han})[\\p{L}\\p{N}])'
// Radicals have the script Han and are symbols, no letters: they are no words.
const han = '(?:(?=[\\p{L}\\p{N}])\\p{Script=Han})'
const piecesPattern = new RegExp(`${han}+|${letter}+(?:[-._/+&']${letter}+)*`, 'gu')
const hanPattern = /^\p{Script=Han}/u
const partPattern = /\d+(?:\.\d+)+|\d+|[^\d\-._/+&']+/gu

// Words too common to tell one document from another; a query asks for them only when it has nothing else.
const stopWords = new Set(['a', 'an', 'and', 'at', 'by', 'for', 'in', 'of', 'on', 'or', 'the', 'to', 'with'])
const stopCharacters = new Set([...'的了和与及或之吗呢'])

const irregular = new Map(
  Object.entries({
    men: 'man',
    women: 'woman',
    children: 'child',
    feet: 'foot',
    teeth: 'tooth',
    mice: 'mouse',
    knives: 'knife',
    shelves: 'shelf',
    leaves: 'leaf',
    scarves: 'scarf',
    people: 'person',
  }),
)

/**
 * Cuts Chinese and English into the tokens of an index and the words of a query.
 *
 * Chinese: an index has every character, every pair of neighbours and every word that the segmenter sees; a query asks
 * for the pairs within its words. Pairs are the same whatever a segmenter thinks, so a word of two characters or more
 * is always found, in brand names too (the segmenter cuts 华为 and 羽绒服 to pieces); whole words only raise the score.
 * English: case, accents and width are folded, plurals cut, `usb-c`, `usb c` and `usbc` are the same.
 */
export class Tokeniser {
  readonly #segmenter = new Intl.Segmenter('zh', { granularity: 'word' })
  readonly #userWords: ReadonlySet<string>
  readonly #longestUserWord: number

  /** @param userWords - Chinese words, such as brands, that are never cut; 2 to 20 characters each, at most 10_000. */
  constructor(userWords: readonly string[] = []) {
    const words = userWords.map(folded).filter(word => word.length >= 2 && word.length <= 20)
    this.#userWords = new Set(words.slice(0, 10_000))
    this.#longestUserWord = words.reduce((longest, word) => Math.max(longest, word.length), 0)
  }

  /** Tokens for the index, repeats included: they count for the score. */
  indexTokens(text: string): string[] {
    const tokens: string[] = []
    for (const [piece] of folded(text).matchAll(piecesPattern)) {
      if (hanPattern.test(piece)) this.#indexHan(piece, tokens)
      else for (const token of latinTokens(piece)) tokens.push(token)
    }
    return tokens
  }

  /** Words that a document must have, in the order of the text; empty when the text has no word. */
  queryWords(text: string): QueryWord[] {
    const pieces = [...folded(text).matchAll(piecesPattern)].map(match => match[0])
    const words: { word: QueryWord; isStop: boolean }[] = []
    for (const [index, piece] of pieces.entries()) {
      if (hanPattern.test(piece)) words.push(...this.#hanWords(piece))
      else words.push({ word: latinWord(piece, index === pieces.length - 1), isStop: stopWords.has(piece) })
    }
    const telling = words.filter(({ isStop }) => !isStop)
    const seen = new Map((telling.length > 0 ? telling : words).map(({ word }) => [JSON.stringify(word), word]))
    return [...seen.values()]
  }

  #indexHan(run: string, tokens: string[]): void {
    const characters = [...run]
    for (const [index, character] of characters.entries()) {
      tokens.push(storable(character))
      const next = characters[index + 1]
      if (next !== undefined) tokens.push(storable(character + next))
    }
    for (const word of this.#segments(run)) if (isLong(word)) tokens.push(storable(wordMark + word))
  }

  #hanWords(run: string): { word: QueryWord; isStop: boolean }[] {
    const words: { word: QueryWord; isStop: boolean }[] = []
    // What a segmenter leaves as single characters side by side is mostly a name that it does not know: 华|为, 羽|绒|服.
    let singles = ''
    let before = ''
    const flush = (): void => {
      if (singles !== '') words.push({ word: hanWord(singles, before), isStop: false })
      singles = ''
    }
    for (const segment of this.#segments(run)) {
      const isSingle = !isLong(segment)
      if (isSingle && !stopCharacters.has(segment)) {
        singles += segment
        continue
      }
      flush()
      words.push({ word: hanWord(segment, ''), isStop: isSingle })
      before = isSingle ? '' : segment
    }
    flush()
    return words
  }

  #segments(run: string): string[] {
    if (this.#userWords.size === 0) return this.#cut(run)
    const segments: string[] = []
    let rest = ''
    for (let at = 0; at < run.length; ) {
      const word = this.#userWordAt(run, at)
      if (word === undefined) rest += run[at++] ?? ''
      else {
        segments.push(...this.#cut(rest), word)
        rest = ''
        at += word.length
      }
    }
    return [...segments, ...this.#cut(rest)]
  }

  #userWordAt(run: string, at: number): string | undefined {
    for (let length = Math.min(this.#longestUserWord, run.length - at); length >= 2; length--) {
      const candidate = run.slice(at, at + length)
      if (this.#userWords.has(candidate)) return candidate
    }
    return undefined
  }

  #cut(run: string): string[] {
    return run === '' ? [] : Array.from(this.#segmenter.segment(run), part => part.segment)
  }
}

/** Width, ligatures and case folded; apostrophes made one; accents taken off. */
function folded(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/’/g, "'")
    .normalize('NFC')
}

function isLong(word: string): boolean {
  return word.length > 1 && [...word].length > 1
}

/** The first alternative finds, the second raises the score of documents that have the word as a word. */
function hanWord(word: string, before: string): QueryWord {
  const characters = [...word]
  if (characters.length === 1) {
    const beside = [...before].at(-1)
    const alone = [{ token: storable(word) }]
    // 保护|壳: a document that has them side by side comes first.
    return beside === undefined ? [alone] : [alone, [{ token: storable(beside + word) }]]
  }
  const pairs = characters
    .slice(1)
    .map((character, index) => ({ token: storable(`${characters[index] ?? ''}${character}`) }))
  return [pairs, [{ token: storable(wordMark + word) }]]
}

/** Every form under which the index has a piece such as `iphone15`, `usb-c`, `1.5l` or `kettles`. */
function latinTokens(piece: string): Set<string> {
  const parts = partsOf(piece)
  const tokens = new Set(parts.flatMap(part => [stem(part), part]))
  if (parts.length > 1) tokens.add(joined(parts))
  return new Set([...tokens].map(storable))
}

function latinWord(piece: string, isLast: boolean): QueryWord {
  const parts = partsOf(piece)
  const terms = (word: string, open: boolean): QueryTerm[][] => {
    const exact = { token: storable(stem(word)) }
    const isOpen = open && word.length >= minPrefixChars
    if (isOpen)
      return exact.token === storable(word)
        ? [[{ ...exact, prefix: true }]]
        : [[exact], [{ token: storable(word), prefix: true }]]
    return [[exact]]
  }
  const [only] = parts
  if (parts.length <= 1) return terms(only ?? '', isLast)
  const whole: QueryTerm = { token: storable(joined(parts)), ...(isLast ? { prefix: true as const } : {}) }
  const head = parts.slice(0, -1).map(part => ({ token: storable(stem(part)) }))
  return [[whole], ...terms(parts.at(-1) ?? '', isLast).map(last => [...head, ...last])]
}

/** `men's` is `men`; letters and digits part; a decimal number stays whole. */
function partsOf(piece: string): string[] {
  return (
    piece
      .replace(/'s(?=$|[-./+&])/g, '')
      .replaceAll("'", '')
      .match(partPattern) ?? []
  )
}

function joined(parts: readonly string[]): string {
  return parts.join('')
}

function stem(word: string): string {
  const known = irregular.get(word)
  if (known !== undefined) return known
  if (word.length < 4) return word
  if (/[^aeou]ies$/.test(word)) return `${word.slice(0, -3)}y`
  // cookie and cookies must meet: `ies` became `y`, so `ie` does too.
  if (/[^aeou]ie$/.test(word)) return `${word.slice(0, -2)}y`
  if (/(?:ss|sh|ch|x|zz)es$/.test(word)) return word.slice(0, -2)
  if (/[^sui]s$/.test(word)) return word.slice(0, -1)
  return word
}

/**
 * The form that the engine's own tokeniser leaves in one piece: only letters and digits of the basic plane, and `_`.
 * Characters beyond it are younger than the engine's tables and stand as numbers.
 */
function storable(token: string): string {
  return token
    .slice(0, maxTokenChars)
    .replaceAll('.', '_')
    .replace(/[\u{10000}-\u{10ffff}]/gu, character => `_${(character.codePointAt(0) ?? 0).toString(16)}`)
    .replace(/[\ud800-\udfff]/g, '_')
}
