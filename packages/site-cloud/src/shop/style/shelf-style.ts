/** Home page, lists of products, product page. */
export const shelfStyle = `
.art { display: block; background: var(--accent-soft); border-radius: calc(var(--radius) + 2px); overflow: hidden; aspect-ratio: 1; margin: 0 }
.art img { width: 100%; height: 100%; object-fit: cover }
.hero { background: color-mix(in srgb, var(--accent) 9%, var(--paper)); overflow: hidden }
.hero-grid { display: grid; gap: 1.25rem; padding-block: 1.75rem }
.hero h1 { font-size: clamp(1.9rem, 1.3rem + 3.2vw, 3.4rem); margin-top: 0; line-height: 1.12 }
:lang(zh-CN) .hero h1 { line-height: 1.28 }
.hero-text p { max-width: 34rem; color: color-mix(in srgb, var(--ink) 82%, var(--paper)); font-size: 1.05rem }
.hero-art { display: grid; grid-template-columns: 2fr 1fr; grid-template-rows: 1fr 1fr; gap: .6rem }
.hero-art .art:first-child { grid-row: 1 / 3 }
.hero-art .art { box-shadow: var(--shadow) }
@media (min-width: 48rem) {
  .hero-grid { grid-template-columns: 1.02fr 1fr; align-items: center; gap: 3rem; padding-block: 3rem }
  .hero-text p { font-size: 1.15rem }
}
.trust { margin-block: 1.25rem }
.trust ul { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem .75rem }
.trust li { display: flex; gap: .6rem; align-items: flex-start; line-height: 1.4 }
.trust .icon { color: var(--accent-ink) }
.trust b { display: block; font-size: .95rem; font-weight: 640 }
.trust li span span { color: var(--quiet); font-size: .87rem }
@media (min-width: 62rem) { .wrap > .trust ul { grid-template-columns: repeat(4, 1fr) } .wrap > .trust { padding-block: .5rem } }
.section-head { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem }
.section-head > a { display: inline-flex; align-items: center; gap: .3rem; white-space: nowrap; color: var(--accent-ink); text-decoration: none; font-weight: 600; padding-block: .5rem }
.section-head > a:hover { text-decoration: underline }
.section-head .icon { width: 1.1rem; height: 1.1rem }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem .75rem }
.tiles a { display: block; text-decoration: none; text-align: center; line-height: 1.35 }
.tiles b { display: block; margin-top: .5rem; font-size: .95rem; font-weight: 620 }
.tiles .quiet { font-size: .85rem }
.tiles .art img, .card .art img { transition: transform .35s }
.tiles a:hover img, .card a:hover .art img { transform: scale(1.035) }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 1.25rem .75rem }
@media (min-width: 40rem) { .grid { grid-template-columns: repeat(3, 1fr); gap: 1.5rem 1.1rem } .tiles { grid-template-columns: repeat(5, 1fr) } }
@media (min-width: 62rem) { .grid { grid-template-columns: repeat(4, 1fr); gap: 2rem 1.4rem } .card-name { min-height: 0 } .tiles { grid-template-columns: repeat(8, 1fr) } }
.card { position: relative }
.card a { display: block; text-decoration: none; line-height: 1.4 }
.card-brand { display: block; margin: .6rem 0 0; color: var(--quiet); font-size: .84rem }
.card-name { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; min-height: 2.8em }
.card a:hover .card-name { text-decoration: underline; text-underline-offset: .2em }
.card-price { display: block; margin-top: .2rem; font-weight: 700; font-size: 1.06rem; font-variant-numeric: tabular-nums }
.card.gone .art { opacity: .55 }
.tag { position: absolute; top: .55rem; left: .55rem; padding: .1rem .6rem; border-radius: 1rem; background: var(--ink); color: var(--paper); font-size: .8rem; font-weight: 600 }
.tag.few { background: var(--warn-soft); color: #6e2509 }
.crumbs { padding-block: .9rem 0; font-size: .88rem; color: var(--quiet) }
.crumbs ol { display: flex; flex-wrap: wrap; gap: .15rem .45rem }
.crumbs li:not(:last-child)::after { content: "/"; margin-left: .45rem; color: var(--edge) }
.crumbs a { text-decoration: none; padding-block: .3rem }
.crumbs a:hover { text-decoration: underline }
.list-head { display: grid; gap: .5rem; margin-bottom: 1.25rem }
.list-head h1 { margin-block: .6rem .15rem }
.list-head .quiet { margin: 0 }
.sort { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end }
.sort label { display: block; font-size: .85rem; color: var(--quiet); flex: 1 1 8rem }
.sort label span { display: block }
.sort select { width: 100%; min-height: 2.75rem; color: var(--ink) }
@media (min-width: 48rem) { .list-head { grid-template-columns: 1fr auto; align-items: end } .sort label { flex: none; min-width: 11rem } }
.pager { display: flex; justify-content: center; align-items: center; gap: .75rem; margin-top: 2.5rem; flex-wrap: wrap }
.pager ol { display: flex; gap: .3rem; align-items: center }
.pager a, .pager b { display: inline-grid; place-items: center; min-width: 2.75rem; min-height: 2.75rem; padding-inline: .6rem; border-radius: var(--radius); text-decoration: none }
.pager a:hover { background: var(--accent-soft) }
.pager b { background: var(--accent); color: var(--on-accent) }

.product { display: grid; gap: 1.25rem; margin-top: .75rem }
.gallery { display: flex; gap: .6rem; overflow-x: auto; scroll-snap-type: x mandatory; scrollbar-width: none; margin-inline: -1rem; padding-inline: 1rem; scroll-padding-inline: 1rem }
.gallery::-webkit-scrollbar { display: none }
.gallery .art { flex: 0 0 88%; scroll-snap-align: start }
.gallery .art:only-child { flex-basis: 100% }
.buy h1 { margin-block: .1rem .5rem; font-size: clamp(1.4rem, 1.2rem + 1vw, 1.85rem) }
.buy .card-brand { margin: 0; font-size: .95rem }
.price { font-size: 1.75rem; font-weight: 720; margin-bottom: .35rem; font-variant-numeric: tabular-nums; letter-spacing: -.01em; line-height: 1.3 }
.stock { display: flex; align-items: center; gap: .5rem; color: var(--good); margin-bottom: 1rem }
.stock i { width: .6rem; height: .6rem; border-radius: 50%; background: currentColor }
.stock.few { color: var(--warn) }
.stock.none { color: var(--quiet) }
.options p { margin: 0 0 .45rem }
.options ul { display: flex; flex-wrap: wrap; gap: .5rem; margin-bottom: 1rem }
.option { display: inline-flex; align-items: center; gap: .45rem; min-height: 2.75rem; padding: .3rem .95rem; border: 1px solid color-mix(in srgb, var(--ink) 30%, var(--paper)); border-radius: var(--radius); background: var(--card); text-decoration: none }
.option:hover { border-color: var(--accent-ink) }
.option.chosen { border-color: var(--accent-ink); box-shadow: inset 0 0 0 1px var(--accent-ink); font-weight: 640; color: var(--accent-ink); background: var(--accent-soft) }
.option.gone { color: var(--quiet); border-style: dashed; text-decoration: line-through }
.buy-form { display: flex; gap: .75rem; align-items: center; position: sticky; bottom: 0; z-index: 10; margin-inline: -1rem; padding: .65rem 1rem calc(.65rem + env(safe-area-inset-bottom)); background: var(--card); border-top: 1px solid var(--edge); box-shadow: 0 -6px 20px rgb(30 25 15 / .06) }
.buy-form > .button { flex: 1; white-space: nowrap; padding-inline: .75rem }
.bar-price { font-weight: 700; margin: 0; display: none; font-variant-numeric: tabular-nums }
.stepper { display: inline-flex; border: 1px solid color-mix(in srgb, var(--ink) 42%, var(--paper)); border-radius: calc(var(--radius) + 2px); background: #fff; overflow: hidden; flex: none }
.stepper input { border: 0; width: 3.4rem; text-align: center; appearance: textfield; -moz-appearance: textfield; border-radius: 0; padding-inline: .2rem }
.stepper input::-webkit-inner-spin-button, .stepper input::-webkit-outer-spin-button { -webkit-appearance: none; margin: 0 }
.stepper button { width: 2.75rem; border: 0; background: none; font-size: 1.3rem; cursor: pointer; color: inherit }
.stepper button[hidden] { display: none }
.stepper button:hover { background: var(--accent-soft) }
.script .stepper input { width: 2.6rem }
.toast { position: absolute; left: 1rem; right: 1rem; bottom: calc(100% + .6rem); margin: 0; padding: .8rem 1rem; background: var(--ink); color: var(--paper); border-radius: var(--radius); box-shadow: var(--shadow); display: flex; justify-content: space-between; gap: 1rem }
.toast[hidden] { display: none }
.toast.warn { background: var(--warn) }
.toast a { color: inherit; font-weight: 640; white-space: nowrap }
.product .trust { padding: 1rem; margin-top: 1.25rem; border: 1px solid var(--edge); border-radius: calc(var(--radius) + 2px); margin-bottom: 0 }
.about section:first-child h2 { margin-top: .5rem }
.description { white-space: pre-line; max-width: 44rem }
.facts { margin: 0 }
.facts div { display: grid; grid-template-columns: minmax(7rem, 30%) 1fr; gap: 1rem; padding-block: .6rem; border-bottom: 1px solid var(--edge) }
.facts dt { color: var(--quiet) }
.facts dd { margin: 0; overflow-wrap: anywhere }
@media (min-width: 56rem) {
  .product { grid-template-columns: minmax(0, 1.12fr) minmax(0, 1fr); gap: 1.5rem 3.25rem; align-items: start }
  .gallery { display: grid; grid-template-columns: 1fr 1fr; margin: 0; padding: 0; overflow: visible; gap: .9rem }
  .gallery .art:first-child { grid-column: 1 / -1 }
  .buy { position: sticky; top: 9rem; grid-row: 1 / 3; grid-column: 2 }
  .buy h1 { margin-top: .2rem }
  .buy-form { position: relative; margin: 0; padding: 0; background: none; border: 0; box-shadow: none }
  .toast { left: 0; right: 0; bottom: auto; top: calc(100% + .6rem); z-index: 5 }
}
`
