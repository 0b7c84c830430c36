import type { ThemeTokens } from '../theme.js'
import { baseStyle } from './base-style.js'
import { buyStyle } from './buy-style.js'
import { shelfStyle } from './shelf-style.js'

/** The one style sheet of a site: its theme as custom properties, then the rules, small parts first. */
export function styleSheet(theme: ThemeTokens): string {
  const tokens = `:root{--accent:${theme.accent};--on-accent:${theme.onAccent};--accent-ink:${theme.accentInk};--accent-soft:${theme.accentSoft};--paper:${theme.paper};--ink:${theme.ink};--radius:${theme.radius}}`
  return squeeze(`${tokens}${baseStyle}${shelfStyle}${buyStyle}`)
}

/** Takes out what only people need. Safe for these rules: none has a string or an address with these characters. */
function squeeze(css: string): string {
  return css
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\s+/g, ' ')
    .replace(/\s*([{};,>])\s*/g, '$1')
    .replace(/;}/g, '}')
    .trim()
}
