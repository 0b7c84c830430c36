import type { MetricRegistry, Sample } from './metric-registry.js'

/** Content type of {@link prometheusText}. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * What a registry holds, in the text format that Prometheus reads (exposition format 0.0.4). Families without a series
 * are left out.
 */
export function prometheusText(registry: Pick<MetricRegistry, 'collect'>): string {
  const lines: string[] = []
  for (const { name, help, type, samples } of registry.collect()) {
    if (samples.length === 0) continue
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`, `# TYPE ${name} ${type}`)
    for (const sample of samples) lines.push(line(name, sample))
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

function line(name: string, { suffix, labels, value }: Sample): string {
  const marks = labels.map(([label, text]) => `${label}="${escaped(text)}"`).join(',')
  return `${name}${suffix}${marks === '' ? '' : `{${marks}}`} ${numberOf(value)}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberOf(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
