// Live charts, local times, a question before what cannot be taken back. The console works without this file.
'use strict'
for (const time of document.querySelectorAll('time[datetime]')) {
  const date = new Date(time.dateTime)
  time.title = time.textContent
  time.textContent = date.toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })
}
document.addEventListener('submit', event => {
  const question = event.target.dataset.confirm
  if (question && !window.confirm(question)) event.preventDefault()
})

const span = 120
for (const box of document.querySelectorAll('[data-charts]')) startCharts(box)

function startCharts(box) {
  const site = box.dataset.site
  const colours = ['#0d9488', '#f59e0b', '#6366f1', '#ef4444', '#64748b']
  const charts = {}
  const draw = (kind, series, data) => {
    const element = box.querySelector(`[data-chart="${kind}"]`)
    const key = series.join()
    if (charts[kind]?.key === key) return charts[kind].plot.setData(data)
    charts[kind]?.plot.destroy()
    const ink = getComputedStyle(document.body).color
    const axis = { stroke: ink, grid: { stroke: '#8884' }, ticks: { stroke: '#8884' } }
    const clock = { ...axis, values: (_, at) => at.map(second => new Date(second * 1000).toLocaleTimeString([], { hour12: false })) }
    const plot = new uPlot(
      { width: element.clientWidth, height: 170, scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } }, axes: [{ ...clock, space: 70 }, axis], series: [{}, ...series.map((label, index) => ({ label, stroke: colours[index % colours.length], width: 2, points: { show: false } }))] },
      data,
      element,
    )
    charts[kind] = { key, plot }
    addEventListener('resize', () => plot.setSize({ width: element.clientWidth, height: 170 }))
  }
  const refresh = async () => {
    if (document.hidden) return
    const now = Math.floor(Date.now() / 1000)
    const answer = await fetch(`/data/metrics.json?since=${(now - span) * 1000}`)
    if (!answer.ok) return
    const { series } = await answer.json()
    const mine = series.filter(one => site === '' || one.site === site)
    const names = [...new Set(mine.map(one => (site === '' ? one.site : one.instance)))].sort().slice(0, 5)
    const xs = Array.from({ length: span }, (_, index) => now - span + index)
    const requests = names.map(() => xs.map(() => 0))
    const p50 = xs.map(() => null)
    const p99 = xs.map(() => null)
    for (const one of mine) {
      const row = requests[names.indexOf(site === '' ? one.site : one.instance)]
      for (const point of one.points) {
        const x = Math.floor(point.at / 1000) - (now - span)
        if (x < 0 || x >= span) continue
        if (row) row[x] += point.counters.requests ?? 0
        if (point.latency) {
          p50[x] = Math.max(p50[x] ?? 0, point.latency.p50)
          p99[x] = Math.max(p99[x] ?? 0, point.latency.p99)
        }
      }
    }
    draw('requests', names.length ? names : ['requests'], [xs, ...(names.length ? requests : [xs.map(() => 0)])])
    draw('latency', ['p50', 'p99'], [xs, p50, p99])
  }
  refresh().catch(() => undefined)
  setInterval(() => refresh().catch(() => undefined), 2_000)
}
