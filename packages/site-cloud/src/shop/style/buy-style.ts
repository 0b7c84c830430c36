/** Cart, checkout, order, account. */
export const buyStyle = `
.two-columns { display: grid; gap: 1.5rem }
@media (min-width: 56rem) { .two-columns { grid-template-columns: minmax(0, 1.7fr) minmax(19rem, 1fr); gap: 2.5rem; align-items: start } .summary { position: sticky; top: 9rem } }
.two-columns > section > h2:first-child { margin-top: 1rem }
.two-columns > aside > * + * { margin-top: 1rem }
.lines { border-top: 1px solid var(--edge) }
.line { display: grid; grid-template-columns: 5.25rem 1fr auto; gap: .35rem 1rem; padding-block: 1rem; border-bottom: 1px solid var(--edge); align-items: start }
.line p { margin: 0 }
.line-text > p:first-child { font-weight: 600; line-height: 1.4 }
.line-text a { text-decoration: none }
.line-text a:hover { text-decoration: underline }
.line-amount { font-weight: 700; font-variant-numeric: tabular-nums; white-space: nowrap }
.line .quiet { font-size: .92rem }
.line .notice { padding: .45rem .75rem; font-size: .92rem; margin-block: .4rem }
.small-art { width: 5.25rem; border-radius: var(--radius) }
.small-lines { border-top: 0 }
.small-lines .line { grid-template-columns: 3.5rem 1fr auto; padding-block: .65rem; font-size: .95rem }
.small-lines .small-art { width: 3.5rem }
.line-forms { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; margin-top: .4rem }
.quantity-form { display: flex; align-items: center; gap: .25rem }
.adjustment { color: var(--good); font-size: .92rem }
.totals { margin: 0 0 1rem }
.totals div { display: flex; justify-content: space-between; padding-block: .35rem }
.totals dd { margin: 0; font-variant-numeric: tabular-nums }
.totals .total { border-top: 1px solid var(--edge); margin-top: .4rem; padding-top: .8rem; font-weight: 720; font-size: 1.2rem }
.summary .button { margin-bottom: .25rem }
.order-head { background: var(--card); border: 1px solid var(--edge); border-radius: calc(var(--radius) + 2px); padding: 1.25rem; margin-top: 1.25rem }
.order-head h1 { margin-block: .5rem; font-size: clamp(1.25rem, 1.1rem + .8vw, 1.6rem) }
.state { display: inline-flex; align-items: center; gap: .35rem; padding: .15rem .8rem; border-radius: 1rem; background: var(--accent-soft); color: var(--accent-ink); font-weight: 640; font-size: .92rem; margin: 0 }
.state .icon { width: 1.1rem; height: 1.1rem }
.order-head.unpaid .state, .state.unpaid { background: var(--warn-soft); color: #7d2f0f }
.order-head.paid .state, .order-head.shipped .state, .order-head.completed .state, .state.paid, .state.shipped, .state.completed { background: var(--good-soft); color: #14553a }
.steps { display: grid; grid-template-columns: repeat(4, 1fr); margin-block: 1.25rem; text-align: center; font-size: .88rem; color: var(--quiet) }
.steps li { position: relative; padding-top: 1.5rem }
.steps li::before { content: ""; position: absolute; top: .15rem; left: 50%; width: .9rem; height: .9rem; margin-left: -.45rem; border-radius: 50%; background: var(--edge); z-index: 1 }
.steps li:not(:first-child)::after { content: ""; position: absolute; top: .5rem; right: 50%; width: 100%; height: .2rem; background: var(--edge) }
.steps .done { color: var(--ink); font-weight: 600 }
.steps .done::before, .steps li.done:not(:first-child)::after { background: var(--accent) }
.order-head + .two-columns { margin-top: 1.5rem }
.order-head + .two-columns > section > h2 { margin-top: 0 }
.order-head form { margin-bottom: .5rem }
.order-head .button { min-width: min(100%, 18rem) }
.orders a { display: grid; grid-template-columns: 1fr auto; gap: .15rem 1rem; padding: .9rem .25rem; border-bottom: 1px solid var(--edge); text-decoration: none; align-items: center }
.orders a:hover { background: var(--accent-soft) }
.orders b { font-variant-numeric: tabular-nums }
.orders .quiet { grid-row: 2; font-size: .9rem }
.orders .state { justify-self: end }
.orders a > b:last-child { grid-row: 2; grid-column: 2; text-align: right }
.metric { display: flex; justify-content: space-between; gap: 1rem }
.views { display: grid; gap: 1rem; margin-top: 2rem }
`
