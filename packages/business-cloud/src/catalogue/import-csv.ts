import { Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { readHeader } from './import-columns.js'
import { RowReader } from './import-fields.js'
import {
  CatalogueDraft,
  type ImportedCatalogue,
  type ImportProblem,
  invalidImport,
  maxProblems,
} from './import-rows.js'

const maxBytes = 50_000_000
const maxRows = 100_000
/** Characters of one row, quotes included. */
const maxRecord = 100_000

export interface ImportOptions {
  /** ISO 4217 code that prices are in; says how many decimals a price may have. */
  readonly currency: string
}

/**
 * Reads a catalogue file: comma-separated, UTF-8 (a byte order mark is fine), a header row, one row per SKU; a field
 * with a comma, a quote or a line break stands in double quotes. Columns in any order:
 *
 * | column | meaning |
 * |---|---|
 * | `slug` | product, `a-z0-9` and single hyphens, up to 100; rows of one slug are the SKUs of one product |
 * | `category` | slug of its category; created when new |
 * | `category_name_zh`, `category_name_en` | names, required in the first row of a category |
 * | `brand` | up to 100 characters, may be empty |
 * | `name_zh`, `name_en` | up to 200 characters |
 * | `description_zh`, `description_en` | up to 5,000 characters, may be empty |
 * | `image` | path below the site's assets, such as `art/kettle.svg`; may be empty |
 * | `sku` | `A-Za-z0-9._-`, up to 64, once in the file |
 * | `price` | list price in major units, such as `199` or `199.90`; never more decimals than the currency has |
 * | `stock` | units on hand, 0 to 1,000,000,000; used only for SKUs that the shop does not know yet |
 * | `option_NAME_zh`, `option_NAME_en` | what tells the SKUs of a product apart, such as `option_color_zh` |
 * | `attr_NAME_zh`, `attr_NAME_en` | facts of the product, such as `attr_material_zh` |
 *
 * `option_NAME` and `attr_NAME` without a language stand for both. In the second and later rows of a product, fields
 * of the product may stay empty. At most 50 MB, 100,000 rows, 200 SKUs a product, 100 columns.
 * @throws CloudError `business.catalogue.invalid-import` with every problem found (at most 100 listed, all counted).
 */
export async function readImport(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  options: ImportOptions,
): Promise<ImportedCatalogue> {
  const problems: ImportProblem[] = []
  let count = 0
  const report = (problem: ImportProblem): void => {
    count += 1
    if (problems.length < maxProblems) problems.push(problem)
  }
  const draft = new CatalogueDraft(report)
  let reader: RowReader | undefined
  let row = 0
  for await (const record of records(source, report)) {
    row += 1
    if (row === 1) {
      const columns = readHeader(record, report)
      // With a wrong header every row would be wrong for the same reason.
      if (columns === undefined) break
      reader = new RowReader(columns, options, report)
      continue
    }
    if (record.length === 1 && record[0] === '') continue
    if (draft.rows >= maxRows) {
      report({ row, field: 'csv', reason: `has more than ${maxRows} rows` })
      break
    }
    const read = reader?.read(record, row)
    if (read !== undefined) draft.add(read)
  }
  if (count === 0 && draft.rows === 0) report({ row: 0, field: 'csv', reason: 'has no rows' })
  if (count > 0) throw invalidImport(problems, count)
  return draft.finish()
}

/** Records in order. A file that cannot be read further ends with one problem. */
async function* records(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  report: (problem: ImportProblem) => void,
): AsyncGenerator<string[]> {
  const parser = parse({ bom: true, relax_column_count: true, max_record_size: maxRecord, skip_empty_lines: false })
  const input = Readable.from(text(source))
  input.on('error', error => parser.destroy(error))
  input.pipe(parser)
  try {
    for await (const record of parser) yield record as string[]
  } catch (error) {
    if (error instanceof FileProblem) report({ row: 0, field: 'csv', reason: error.message })
    else if (error instanceof CsvError) report({ row: 0, field: 'csv', reason: reasonOf(error) })
    else throw error
  } finally {
    input.destroy()
  }
}

class FileProblem extends Error {}

/** Text in pieces that keep the event loop free, with the limits of the whole file. */
async function* text(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true })
    } catch {
      throw new FileProblem('is not UTF-8; save it as "CSV UTF-8"')
    }
  }
  let bytes = 0
  for await (const chunk of source) {
    bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.byteLength
    if (bytes > maxBytes) throw new FileProblem(`is larger than ${maxBytes} bytes`)
    const decoded = typeof chunk === 'string' ? chunk : decode(chunk)
    for (let start = 0; start < decoded.length; start += 65_536) yield decoded.slice(start, start + 65_536)
  }
  const rest = decode()
  if (rest !== '') yield rest
}

const reasons: Partial<Record<CsvError['code'], string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote is opened and never closed',
  INVALID_OPENING_QUOTE: 'a quote stands inside a field without quotes',
  CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE: 'text follows a closing quote',
  CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote',
  CSV_MAX_RECORD_SIZE: `a row is longer than ${maxRecord} characters`,
}

function reasonOf(error: CsvError): string {
  const lines: unknown = error.lines
  const line = typeof lines === 'number' ? lines : undefined
  return `${reasons[error.code] ?? 'cannot be read as CSV'}${line === undefined ? '' : ` (line ${line})`}`
}
