// Live charts and states, local times, a question before what cannot be taken back. The console works without this file.
'use strict'

const refreshMs = 5_000
const chartMs = 2_000
const spanSeconds = 120
const language = document.documentElement.lang

showLocalTimes(document)
document.querySelector('.tabs [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' })
document.addEventListener('submit', event => {
  const question = event.target.dataset.confirm
  if (question && !window.confirm(question)) event.preventDefault()
})
for (const box of document.querySelectorAll('[data-charts]')) startCharts(box)
if (document.querySelector('[data-live]')) setInterval(() => refreshLive().catch(() => undefined), refreshMs)

function showLocalTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    if (time.title !== '') continue
    time.title = time.textContent
    time.textContent = new Date(time.dateTime).toLocaleString(language, { dateStyle: 'short', timeStyle: 'medium' })
  }
}

/** Fetches the page again and takes over its live parts, except one that somebody is typing in. */
async function refreshLive() {
  if (document.hidden) return
  const answer = await fetch(location.href, { headers: { 'x-console-refresh': '1' } })
  if (!answer.ok || answer.redirected) return
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html')
  for (const part of document.querySelectorAll('[data-live]')) {
    const next = fresh.getElementById(part.id)
    if (next === null || part.contains(document.activeElement)) continue
    showLocalTimes(next)
    if (part.innerHTML !== next.innerHTML) part.replaceChildren(...next.childNodes)
  }
}

function startCharts(box) {
  const { site, empty, failed } = box.dataset
  const charts = { requests: makeChart(box, 'requests', empty), latency: makeChart(box, 'latency', empty) }
  const refresh = async () => {
    if (document.hidden) return
    const now = Math.floor(Date.now() / 1000)
    const answer = await fetch(`/data/metrics.json?since=${(now - spanSeconds) * 1000}`)
    if (!answer.ok) return void Object.values(charts).forEach(chart => chart.say(failed))
    const { series } = await answer.json()
    show(
      box,
      charts,
      measure(
        series.filter(one => site === '' || one.site === site),
        site === '' ? 'site' : 'instance',
        now,
      ),
    )
  }
  refresh().catch(() => undefined)
  setInterval(() => refresh().catch(() => undefined), chartMs)
}

/** Sums per second. The second that is not over yet is left out: it always looks like a drop. */
function measure(series, groupBy, now) {
  const from = now - spanSeconds
  const xs = Array.from({ length: spanSeconds }, (_, index) => from + index)
  const names = [...new Set(series.map(one => one[groupBy]))].sort().slice(0, 6)
  const requests = names.map(() => xs.map(() => 0))
  const p50 = xs.map(() => null)
  const p99 = xs.map(() => null)
  let failures = 0
  for (const one of series) {
    const row = requests[names.indexOf(one[groupBy])]
    for (const point of one.points) {
      const x = Math.floor(point.at / 1000) - from
      if (x < 0 || x >= spanSeconds) continue
      if (row) row[x] += point.counters.requests ?? 0
      if (x >= spanSeconds - 60) failures += (point.counters.failures ?? 0) + (point.counters.rejected ?? 0)
      if (!point.latency) continue
      p50[x] = Math.max(p50[x] ?? 0, point.latency.p50)
      p99[x] = Math.max(p99[x] ?? 0, point.latency.p99)
    }
  }
  return { xs, names, requests, p50, p99, failures, any: requests.some(row => row.some(count => count > 0)) }
}

function show(box, charts, { xs, names, requests, p50, p99, failures, any }) {
  const now = name => box.parentElement.querySelector(`[data-now="${name}"]`)
  // Three seconds smooth what a person reads as the rate of now.
  const rate = requests.reduce((sum, row) => sum + row.slice(-4, -1).reduce((a, b) => a + b, 0), 0) / 3
  const last = p99.findLast(value => value !== null)
  now('requests').textContent = any ? `${rate.toLocaleString(language, { maximumFractionDigits: 1 })}/s` : ''
  now('latency').textContent = any && last !== undefined ? `p99 ${round(last)} ms` : ''
  const note = now('failures')
  note.textContent = any ? `${failures.toLocaleString(language)} ${note.dataset.label}` : ''
  note.classList.toggle('bad', failures > 0)
  charts.requests.draw(names, any ? [xs, ...requests] : undefined)
  charts.latency.draw(['p50', 'p99'], any ? [xs, p50, p99] : undefined)
}

function round(value) {
  return value < 10 ? Math.round(value * 10) / 10 : Math.round(value)
}

const colours = ['#0d9488', '#f59e0b', '#6366f1', '#ef4444', '#0ea5e9', '#64748b']

function makeChart(box, kind, empty) {
  const element = box.querySelector(`[data-chart="${kind}"]`)
  let plot
  let key = ''
  const clear = () => {
    plot?.destroy()
    plot = undefined
    key = ''
    element.replaceChildren()
  }
  const say = text => {
    if (key === text) return
    clear()
    key = text
    const words = document.createElement('p')
    words.className = 'empty'
    words.textContent = text
    element.append(words)
  }
  const size = () => ({ width: element.clientWidth, height: 170 })
  addEventListener('resize', () => plot?.setSize(size()))
  return {
    say,
    draw(labels, data) {
      if (data === undefined) return say(empty)
      if (plot !== undefined && key === labels.join()) return plot.setData(data)
      clear()
      key = labels.join()
      plot = new uPlot(chartOptions(kind, labels, size()), data, element)
    },
  }
}

function chartOptions(kind, labels, size) {
  const ink = getComputedStyle(document.body).color
  const axis = { stroke: ink, grid: { stroke: '#8883', width: 1 }, ticks: { show: false }, font: '11px system-ui' }
  const clock = seconds =>
    new Date(seconds * 1000).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
  return {
    ...size,
    padding: [8, 8, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.15)] } },
    axes: [
      { ...axis, space: 90, values: (_, at) => at.map(clock) },
      { ...axis, size: 44, values: (_, at) => at.map(value => (value >= 1000 ? `${value / 1000}k` : value)) },
    ],
    series: [
      { value: (_, seconds) => (seconds === null ? '' : clock(seconds)), label: '' },
      ...labels.map((label, index) => ({
        label,
        stroke: colours[index % colours.length],
        ...(kind === 'requests' && labels.length === 1 ? { fill: `${colours[0]}22` } : {}),
        width: 2,
        spanGaps: false,
        points: { show: kind === 'latency', size: 4 },
        value: (_, value) => (value === null ? '–' : String(round(value))),
      })),
    ],
  }
}
