import { CloudError } from '@aaas/core-cloud/kernel'

/** Units of each SKU: no measurement sells them out. */
const stock = '100000000'

/**
 * A catalogue of realistic size made of a small one: each product `copies` times under names of its own, with stock that
 * lasts. @param csv - as the shop imports it, no line breaks inside fields.
 */
export function probeCatalogue(csv: string, copies: number): string {
  const [head = '', ...rows] = csv.split(/\r?\n/).filter(line => line !== '')
  const names = fieldsOf(head)
  const [slugAt, skuAt, stockAt] = ['slug', 'sku', 'stock'].map(name => {
    const at = names.indexOf(name)
    if (at === -1) throw new CloudError('site.template.unmeasurable', `the sample catalogue has no column ${name}`)
    return at
  })
  const lines = [head]
  for (let copy = 1; copy <= copies; copy++) {
    for (const row of rows) {
      const fields = fieldsOf(row).map((field, at) => {
        if (at === slugAt) return `${field}-${copy}`
        if (at === skuAt) return `${field}-${copy}`
        return at === stockAt ? stock : field
      })
      lines.push(fields.join(','))
    }
  }
  return `${lines.join('\n')}\n`
}

/** Fields as they are written, quotes included. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g)].map(([, field = '']) => field)
}
