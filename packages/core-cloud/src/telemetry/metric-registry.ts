/** Names and labels of a family of series. */
export interface MetricOptions {
  /** Letters, digits and `_`, such as `aaas_calls_total`. */
  readonly name: string
  /** One sentence. */
  readonly help: string
  /** Names of the labels, in the order of the values given to `with`; default none. */
  readonly labels?: readonly string[]
}

export interface HistogramOptions extends MetricOptions {
  /** Upper bounds in ascending order, in `unit`s; at most 64. */
  readonly bounds: readonly number[]
  /** How many of what is observed make 1 in the text: 1_000 for milliseconds shown as seconds. Default 1. */
  readonly perUnit?: number
}

/** Only grows. */
export interface Counter {
  /** @param amount - default 1; less than 0 is ignored. */
  add(amount?: number): void
}

export interface Gauge {
  set(value: number): void
}

export interface Histogram {
  /** Allocates nothing. Values that are not finite are ignored. */
  observe(value: number): void
  /** Observations so far. */
  count(): number
}

/** Series of one family. Hold on to what `with` gives: looking it up costs more than counting. */
export interface MetricFamily<S> {
  /**
   * The series with these label values. Beyond the registry's limit, all new ones are one series with the value `other`
   * for every label: a hostile caller cannot grow the registry.
   */
  with(...values: readonly string[]): S
}

/** A line of the text format in parts. */
export interface Sample {
  /** Appended to the family's name, such as `_bucket`. */
  readonly suffix: string
  readonly labels: readonly (readonly [string, string])[]
  readonly value: number
}

export interface CollectedFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

/** Counters, gauges and histograms of one process. */
export interface MetricRegistry {
  /** @throws Error for a bad or taken name: a programmer's mistake. */
  counter(options: MetricOptions): MetricFamily<Counter>
  gauge(options: MetricOptions): MetricFamily<Gauge>
  histogram(options: HistogramOptions): MetricFamily<Histogram>
  /** Called before every {@link MetricRegistry.collect}: for what is cheaper to count when somebody looks. */
  onCollect(fn: () => void): void
  /** In the order in which the families were made. */
  collect(): readonly CollectedFamily[]
}

const nameForm = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const maxFamilies = 1_000
const overflow = 'other'

interface Series {
  samples(labels: Sample['labels']): readonly Sample[]
}

/** @param options.maxSeries - label combinations of one family; default 1_000. */
export function metricRegistry({ maxSeries = 1_000 }: { readonly maxSeries?: number } = {}): MetricRegistry {
  const families = new Map<string, { collect(): CollectedFamily }>()
  const collectors: (() => void)[] = []
  const family = <S extends Series>(
    options: MetricOptions,
    type: CollectedFamily['type'],
    make: () => S,
  ): MetricFamily<S> => {
    const { name, help, labels = [] } = options
    checkNames(options)
    if (families.has(name)) throw new Error(`the metric ${name} is there already`)
    if (families.size >= maxFamilies) throw new Error(`a registry holds at most ${maxFamilies} metrics`)
    const series = new Map<string, { readonly values: readonly string[]; readonly one: S }>()
    const named = (values: readonly string[]): S => {
      const key = JSON.stringify(values)
      const found = series.get(key)
      if (found !== undefined) return found.one
      const spare = values.every(value => value === overflow)
      if (series.size >= maxSeries && !spare) return named(labels.map(() => overflow))
      const one = make()
      series.set(key, { values, one })
      return one
    }
    families.set(name, {
      collect: () => ({
        name,
        help,
        type,
        samples: [...series.values()].flatMap(({ values, one }) =>
          one.samples(labels.map((label, index) => [label, values[index] ?? ''])),
        ),
      }),
    })
    return {
      with(...values) {
        if (values.length !== labels.length) throw new Error(`${name} has ${labels.length} labels`)
        return named(values)
      },
    }
  }
  return {
    counter: options => family(options, 'counter', () => new NumberSeries()),
    gauge: options => family(options, 'gauge', () => new NumberSeries()),
    histogram: options => {
      checkBounds(options)
      return family(options, 'histogram', () => new HistogramSeries(options))
    },
    onCollect: fn => void collectors.push(fn),
    collect() {
      for (const fn of collectors) fn()
      return [...families.values()].map(one => one.collect())
    },
  }
}

function checkNames({ name, labels = [] }: MetricOptions): void {
  if (!nameForm.test(name)) throw new Error(`'${name}' is not a metric's name`)
  for (const label of labels) {
    // `le` belongs to the buckets of histograms.
    if (!nameForm.test(label) || label.startsWith('__') || label === 'le')
      throw new Error(`'${label}' is not a label of ${name}`)
  }
  if (new Set(labels).size !== labels.length) throw new Error(`${name} has a label twice`)
}

function checkBounds({ name, bounds }: HistogramOptions): void {
  const rising = bounds.every((bound, index) => Number.isFinite(bound) && (index === 0 || bound > bounds[index - 1]!))
  if (bounds.length === 0 || bounds.length > 64 || !rising)
    throw new Error(`${name}: bounds must be 1 to 64 rising numbers`)
}

class NumberSeries implements Counter, Gauge, Series {
  #value = 0

  add(amount = 1): void {
    if (amount > 0) this.#value += amount
  }

  set(value: number): void {
    this.#value = value
  }

  samples(labels: Sample['labels']): readonly Sample[] {
    return [{ suffix: '', labels, value: this.#value }]
  }
}

class HistogramSeries implements Histogram, Series {
  readonly #options: HistogramOptions
  /** In what is observed, with a last one that everything fits. */
  readonly #limits: Float64Array
  /** Whole numbers; a double counts further than any process lives. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(options: HistogramOptions) {
    const { bounds, perUnit = 1 } = options
    this.#options = options
    this.#limits = Float64Array.from([...bounds.map(bound => bound * perUnit), Number.POSITIVE_INFINITY])
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    if (!(value - value === 0)) return
    const limits = this.#limits
    let index = 0
    while (value > limits[index]!) index++
    this.#counts[index]! += 1
    this.#sum += value
  }

  count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  samples(labels: Sample['labels']): readonly Sample[] {
    const { bounds, perUnit = 1 } = this.#options
    let count = 0
    const samples: Sample[] = []
    for (const [index, own] of this.#counts.entries()) {
      count += own
      const le = index < bounds.length ? String(bounds[index]) : '+Inf'
      samples.push({ suffix: '_bucket', labels: [...labels, ['le', le]], value: count })
    }
    samples.push({ suffix: '_sum', labels, value: this.#sum / perUnit }, { suffix: '_count', labels, value: count })
    return samples
  }
}
