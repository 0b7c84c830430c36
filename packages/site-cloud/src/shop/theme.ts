/** Colours and shapes of a site; they become custom properties of the one style sheet. */
export interface ThemeTokens {
  /** Buttons, selected things. */
  readonly accent: string
  /** Text on `accent`: black or white, whichever is readable. */
  readonly onAccent: string
  /** `accent` made dark enough to be text on `paper`. */
  readonly accentInk: string
  /** A faint tint of `accent` for quiet surfaces. */
  readonly accentSoft: string
  readonly paper: string
  readonly ink: string
  /** CSS length. */
  readonly radius: string
}

interface Preset {
  readonly accent: string
  readonly paper: string
  readonly ink: string
}

const presets = {
  pine: { accent: '#1f5f4b', paper: '#faf8f4', ink: '#1c1d1a' },
  ink: { accent: '#1d2430', paper: '#f8f8f7', ink: '#16181d' },
  clay: { accent: '#a8452a', paper: '#fbf7f3', ink: '#241c18' },
  ocean: { accent: '#1b5a86', paper: '#f6f9fb', ink: '#15202a' },
} as const satisfies Record<string, Preset>

const radii = { sharp: '3px', soft: '14px', round: '22px' } as const

export function themeTokens(theme: {
  readonly preset: keyof typeof presets
  readonly accent?: string
  readonly corners?: keyof typeof radii
}): ThemeTokens {
  const preset = presets[theme.preset]
  const accent = theme.accent ?? preset.accent
  return {
    accent,
    onAccent: contrast(accent, '#ffffff') >= contrast(accent, '#000000') ? '#ffffff' : '#000000',
    accentInk: darkUntilReadable(accent, preset.paper),
    accentSoft: mix(accent, preset.paper, 0.1),
    paper: preset.paper,
    ink: preset.ink,
    radius: radii[theme.corners ?? 'soft'],
  }
}

/** Contrast ratio of two `#rrggbb` colours after WCAG 2.1: 1 to 21. */
export function contrast(first: string, second: string): number {
  const [light, dark] = [luminance(first), luminance(second)].sort((a, b) => b - a) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

/** `share` of the first colour (0 to 1), the rest of the second. */
export function mix(first: string, second: string, share: number): string {
  const [a, b] = [channels(first), channels(second)]
  return `#${a.map((value, index) => hex(value * share + (b[index] ?? 0) * (1 - share))).join('')}`
}

// 5.2 instead of the 4.5 that WCAG asks: the same text also stands on surfaces a little darker than the paper.
function darkUntilReadable(colour: string, paper: string): string {
  let result = colour
  for (let share = 0.95; contrast(result, paper) < 5.2 && share > 0; share -= 0.05)
    result = mix(colour, '#000000', share)
  return result
}

function luminance(colour: string): number {
  const [red, green, blue] = channels(colour).map(value => {
    const part = value / 255
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function channels(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16)
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255]
}

function hex(value: number): string {
  return Math.round(Math.min(255, Math.max(0, value)))
    .toString(16)
    .padStart(2, '0')
}
