import { performance } from 'node:perf_hooks'
import type { MetricRegistry } from './metric-registry.js'

/** What every process says of itself, under the names that Prometheus' own clients use. Costs nothing until it is asked. */
export function processMetrics(registry: MetricRegistry): void {
  const gauge = (name: string, help: string) => registry.gauge({ name, help }).with()
  const memory = gauge('process_resident_memory_bytes', 'Resident memory of the process.')
  const heap = gauge('nodejs_heap_size_used_bytes', 'Heap that objects use.')
  const started = gauge('process_start_time_seconds', 'When the process started, seconds since 1970.')
  const cpu = registry.counter({ name: 'process_cpu_seconds_total', help: 'Processor time, user and system.' }).with()
  const busy = registry
    .counter({ name: 'nodejs_eventloop_busy_seconds_total', help: 'Time the loop was at work.' })
    .with()
  let cpuSeconds = 0
  let busySeconds = 0
  registry.onCollect(() => {
    const used = process.memoryUsage()
    memory.set(used.rss)
    heap.set(used.heapUsed)
    started.set(Math.round(performance.timeOrigin) / 1_000)
    const { user, system } = process.cpuUsage()
    cpu.add((user + system) / 1e6 - cpuSeconds)
    cpuSeconds = (user + system) / 1e6
    const { active } = performance.eventLoopUtilization()
    busy.add(active / 1_000 - busySeconds)
    busySeconds = active / 1_000
  })
}
