import { type Markup, trusted } from '../html.js'

// Line icons on a 24 px grid, drawn for this shop; they take the colour of the text around them.
const icon = (paths: string): Markup =>
  trusted(
    `<svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`,
  )

export const icons = {
  search: icon('<circle cx="10.8" cy="10.8" r="6.3"/><path d="m15.6 15.6 4.4 4.4"/>'),
  cart: icon(
    '<path d="M5.5 8.5h13l-1 10.2a2 2 0 0 1-2 1.8H8.5a2 2 0 0 1-2-1.8z"/><path d="M8.8 11V7.2a3.2 3.2 0 0 1 6.4 0V11"/>',
  ),
  account: icon('<circle cx="12" cy="8.3" r="3.8"/><path d="M4.8 20c.8-3.8 3.7-5.7 7.2-5.7s6.4 1.9 7.2 5.7"/>'),
  truck: icon(
    '<path d="M2.8 6.5h11v10.3h-11zM13.8 10h3.9l3.5 3.6v3.2h-7.4z"/><circle cx="7" cy="17.5" r="1.9"/><circle cx="17" cy="17.5" r="1.9"/>',
  ),
  back: icon('<path d="M4.5 9.5h10a5 5 0 0 1 0 10H9"/><path d="M8.3 5.5l-4 4 4 4"/>'),
  shield: icon(
    '<path d="M12 3.2l7.5 2.8v5.3c0 4.7-3 8-7.5 9.7-4.5-1.7-7.5-5-7.5-9.7V6z"/><path d="m8.7 11.9 2.3 2.3 4.4-4.6"/>',
  ),
  box: icon('<path d="M3.8 7.7 12 3.5l8.2 4.2v8.6L12 20.5l-8.2-4.2z"/><path d="M3.8 7.7 12 12l8.2-4.3M12 12v8.5"/>'),
  globe: icon(
    '<circle cx="12" cy="12" r="8.5"/><path d="M3.5 12h17M12 3.5c2.6 2.4 3.9 5.2 3.9 8.5s-1.3 6.1-3.9 8.5c-2.6-2.4-3.9-5.2-3.9-8.5s1.3-6.1 3.9-8.5z"/>',
  ),
  check: icon('<path d="m5 12.5 4.5 4.5L19 7.5"/>'),
  arrow: icon('<path d="M5 12h14M13 6l6 6-6 6"/>'),
} as const
