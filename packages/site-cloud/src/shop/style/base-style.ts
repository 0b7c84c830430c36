/** Type, colours, header, footer, forms. Sizes are in rem; the layout is for phones first. */
export const baseStyle = `
*, *::before, *::after { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } * { transition: none !important; animation: none !important } }
:root {
  --quiet: color-mix(in srgb, var(--ink) 66%, var(--paper));
  --edge: color-mix(in srgb, var(--ink) 13%, var(--paper));
  --card: color-mix(in srgb, #fff 82%, var(--paper));
  --good: #1c6b45; --warn: #9c3a17; --warn-soft: #fbe9df; --good-soft: #e3f1e8;
  --shadow: 0 1px 2px rgb(30 25 15 / .05), 0 8px 24px rgb(30 25 15 / .07);
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 400 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans GB", "Noto Sans SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; text-rendering: optimizeLegibility; -webkit-font-smoothing: antialiased; min-height: 100vh; display: flex; flex-direction: column }
:lang(zh-CN) body { line-height: 1.7 }
main { flex: 1; outline: none; padding-bottom: 3.5rem }
.wrap { width: 100%; max-width: 76rem; margin-inline: auto; padding-inline: 1rem }
.narrow { max-width: 42rem }
h1, h2, h3 { line-height: 1.22; letter-spacing: -.012em; text-wrap: balance; font-weight: 680; margin: 0 }
:lang(zh-CN) h1, :lang(zh-CN) h2, :lang(zh-CN) h3 { letter-spacing: .01em; line-height: 1.35 }
h1 { font-size: clamp(1.5rem, 1.2rem + 1.5vw, 2.125rem); margin-block: 1.25rem .75rem }
h2 { font-size: clamp(1.2rem, 1.1rem + .5vw, 1.45rem); margin-block: 2.25rem 1rem }
h3 { font-size: 1.05rem; margin-block: 1rem .5rem }
p { margin: 0 0 .75rem; text-wrap: pretty }
ul, ol { margin: 0; padding: 0; list-style: none }
a { color: inherit; text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); text-underline-offset: .2em }
a:hover { text-decoration-color: currentColor }
img, svg { display: block; max-width: 100%; height: auto }
:focus-visible { outline: 3px solid var(--accent-ink); outline-offset: 2px; border-radius: 4px }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.skip { position: absolute; left: -9999px; top: 0; background: var(--ink); color: var(--paper); padding: .75rem 1rem; z-index: 30 }
.skip:focus { left: 0 }
.quiet { color: var(--quiet) }
.center { text-align: center }
.icon { width: 1.5rem; height: 1.5rem; flex: none }

.top { background: var(--card); border-bottom: 1px solid var(--edge) }
.bar { display: grid; grid-template-columns: auto 1fr; gap: .35rem .5rem; align-items: center; padding-block: .5rem }
.brand { display: inline-flex; align-items: center; gap: .6rem; font-weight: 720; font-size: 1.1rem; text-decoration: none; letter-spacing: -.01em; white-space: nowrap }
.logo { color: var(--accent); width: 2rem; height: 2rem }
.tools { display: flex; gap: .1rem; justify-content: flex-end }
.tools a { position: relative; display: inline-flex; align-items: center; gap: .4rem; min-width: 2.75rem; min-height: 2.75rem; justify-content: center; padding: .25rem .5rem; text-decoration: none; border-radius: var(--radius); font-size: .95rem }
.tools a:hover { background: var(--accent-soft) }
.tools a > span { display: none }
.tools .language > span { display: inline; font-size: .9rem }
.tools .language .icon { display: none }
.badge { position: absolute; top: .15rem; left: calc(50% + .2rem); min-width: 1.2rem; height: 1.2rem; padding: 0 .3rem; border-radius: .6rem; background: var(--accent); color: var(--on-accent); font-size: .75rem; line-height: 1.2rem; text-align: center; font-weight: 650 }
.badge:empty { display: none }
.find { grid-column: 1 / -1; order: 3; position: relative; display: flex }
.find input { width: 100%; min-height: 2.75rem; padding: .5rem 3rem .5rem 1rem; border-radius: 1.5rem; background: var(--paper) }
.find button { position: absolute; right: .15rem; top: .1rem; width: 2.6rem; height: 2.55rem; display: grid; place-items: center; border: 0; background: none; color: var(--accent-ink); border-radius: 50%; cursor: pointer }
.shelves { border-top: 1px solid var(--edge) }
.shelves ul { display: flex; gap: .25rem; overflow-x: auto; scrollbar-width: none; padding-block: .25rem }
.shelves ul::-webkit-scrollbar { display: none }
.shelves a { display: block; white-space: nowrap; padding: .5rem .7rem; text-decoration: none; border-radius: var(--radius); font-size: .93rem; color: var(--quiet) }
.shelves a:hover { color: var(--ink); background: var(--accent-soft) }
.shelves [aria-current] { color: var(--accent-ink); font-weight: 650; background: var(--accent-soft) }
@media (min-width: 48rem) {
  .top { position: sticky; top: 0; z-index: 20 }
  .bar { grid-template-columns: auto minmax(12rem, 34rem) auto; gap: 1.5rem; padding-block: .75rem; justify-content: space-between }
  .find { grid-column: auto; order: 0 }
  .tools a > span { display: inline }
  .badge { position: static }
}

.foot { background: color-mix(in srgb, var(--ink) 4%, var(--paper)); border-top: 1px solid var(--edge); padding-block: 2.25rem 1.25rem; font-size: .94rem }
.foot-grid { display: grid; gap: 1.75rem; grid-template-columns: 1fr 1fr }
.foot-grid > :first-child { grid-column: 1 / -1; max-width: 26rem }
.foot h2 { font-size: 1rem; margin: 0 0 .5rem }
.foot li { padding-block: .25rem; overflow-wrap: anywhere }
.foot a { text-decoration: none }
.foot a:hover { text-decoration: underline }
.legal { margin-top: 1.75rem; color: var(--quiet); font-size: .875rem }
@media (min-width: 48rem) { .foot-grid { grid-template-columns: 2fr 1fr 1fr 1.3fr } .foot-grid > :first-child { grid-column: auto } }

.button { display: inline-flex; align-items: center; justify-content: center; min-height: 3rem; padding: .6rem 1.4rem; border: 1px solid var(--accent); border-radius: calc(var(--radius) + 4px); background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 640; text-decoration: none; cursor: pointer; transition: filter .15s, transform .1s }
.button:hover { filter: brightness(1.08) }
.button:active { transform: translateY(1px) }
.button:disabled { background: var(--edge); border-color: var(--edge); color: var(--quiet); cursor: not-allowed; filter: none }
.quiet-button { background: transparent; color: var(--accent-ink); border-color: color-mix(in srgb, var(--accent) 45%, var(--paper)) }
.quiet-button:hover { background: var(--accent-soft); filter: none }
.small { min-height: 2.75rem; padding: .3rem 1rem }
.wide { width: 100% }
.text-button { border: 0; background: none; padding: .6rem .25rem; min-height: 2.75rem; font: inherit; color: var(--accent-ink); text-decoration: underline; text-underline-offset: .2em; cursor: pointer }
.actions { display: flex; flex-wrap: wrap; gap: .75rem }
input, select { font: inherit; color: inherit; background: #fff; border: 1px solid color-mix(in srgb, var(--ink) 42%, var(--paper)); border-radius: min(var(--radius), .75rem); min-height: 2.9rem; padding: .5rem .8rem; max-width: 100% }
.find input { border-color: var(--edge) }
.find input:hover, .find input:focus { border-color: color-mix(in srgb, var(--ink) 42%, var(--paper)) }
.field { margin-bottom: 1rem }
.field label { display: block; font-weight: 600; margin-bottom: .3rem }
.field input { width: 100% }
.field.wrong input { border-color: var(--warn); border-width: 2px }
.field .error { display: block; color: var(--warn); font-size: .93rem; margin-top: .25rem }
.hint { font-size: .93rem; color: var(--quiet) }
.hint.good { color: var(--good) }
fieldset { border: 0; padding: 0; margin: 0 }
legend { font-size: 1.2rem; font-weight: 680; padding: 0; margin-bottom: .9rem }
.panel { background: var(--card); border: 1px solid var(--edge); border-radius: calc(var(--radius) + 2px); padding: 1.15rem }
.panel > :last-child { margin-bottom: 0 }
.panel > h2:first-child, .panel .section-head h2 { margin-top: 0 }
.notice { padding: .8rem 1rem; border-radius: var(--radius); background: var(--accent-soft); border-left: 4px solid var(--accent); margin-block: .75rem }
.notice.good { background: var(--good-soft); border-color: var(--good); color: #123f2a }
.notice.warn { background: var(--warn-soft); border-color: var(--warn); color: #6e2509 }
.empty { text-align: center; padding: 2.5rem 1rem; color: var(--quiet) }
.empty .big { font-size: 1.25rem; color: var(--ink); font-weight: 640 }
.empty ul { margin-bottom: 1rem }
.message { text-align: center; padding-block: 3rem }
.message .actions { justify-content: center }
.chips { display: flex; flex-wrap: wrap; gap: .5rem; justify-content: center }
.chip { padding: .5rem 1rem; border: 1px solid var(--edge); border-radius: 1.5rem; background: var(--card); text-decoration: none; color: var(--ink) }
.prose section { scroll-margin-top: 9rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .5rem; border-bottom: 1px solid var(--edge) }
.script [data-without-script], .script [data-auto-submit] .button { display: none }
`
