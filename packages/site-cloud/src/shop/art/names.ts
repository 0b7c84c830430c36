/** A colourway: `id` is its English name in lower case with hyphens. */
export interface Palette {
  readonly id: string
  readonly base: string
  /** Tint of the background behind it. */
  readonly wall: string
}

/** Colourways that drawings come in. A SKU whose English colour has one of these names is shown in that colour. */
export const palettes: readonly Palette[] = [
  { id: 'chalk-white', base: '#ece7dd', wall: '#dcd3c4' },
  { id: 'charcoal', base: '#3f444b', wall: '#e3e0da' },
  { id: 'sea-blue', base: '#3f7494', wall: '#e4ebe9' },
  { id: 'forest-green', base: '#3b6a53', wall: '#e9e8da' },
  { id: 'clay-red', base: '#b9583f', wall: '#f1e2d5' },
  { id: 'mustard', base: '#d19c37', wall: '#f3e9d3' },
  { id: 'sage', base: '#95a88a', wall: '#ebeade' },
  { id: 'blush', base: '#dba79b', wall: '#f5e7e0' },
  { id: 'oat', base: '#cdb697', wall: '#f0e8da' },
  { id: 'walnut', base: '#7d563b', wall: '#eee2d3' },
  { id: 'sky', base: '#8bb3cb', wall: '#e6edf0' },
  { id: 'plum', base: '#75495f', wall: '#eee2e5' },
  { id: 'olive', base: '#777a45', wall: '#ebe8d6' },
  { id: 'steel', base: '#9aa3a9', wall: '#e6e7e6' },
]

const byId = new Map(palettes.map(palette => [palette.id, palette]))

/** `kind`, `palette`, `style` (0 to 99) and `view` of a drawing named `art/kind-palette[-style][-view].svg`. */
export interface ArtName {
  readonly kind: string
  readonly palette: string
  readonly style: number
  /** `plain` is the product alone; `scene` and `detail` are the other pictures of its gallery. */
  readonly view: ArtView
}
type ArtView = 'plain' | 'scene' | 'detail'

/** @returns undefined when the path does not name a drawing; the kind is not checked. */
export function parseArtName(path: string): ArtName | undefined {
  if (path.length > 100) return undefined
  const match = /^art\/([a-z]{2,20})((?:-[a-z]{2,20}){1,3})(?:-(\d{1,2}))?(?:-(scene|detail))?\.svg$/.exec(path)
  if (match === null) return undefined
  let [, kind = '', palette = '', style, view] = match
  // Without a number between them the greedy palette swallows the view.
  const swallowed = /^(.*)-(scene|detail)$/.exec(palette)
  if (view === undefined && style === undefined && swallowed !== null) [, palette = '', view] = swallowed
  palette = palette.slice(1)
  if (!byId.has(palette)) return undefined
  return { kind, palette, style: Number(style ?? 0), view: (view as ArtView | undefined) ?? 'plain' }
}

export function artPath(name: ArtName): string {
  const style = name.style === 0 ? '' : `-${name.style}`
  return `art/${name.kind}-${name.palette}${style}${name.view === 'plain' ? '' : `-${name.view}`}.svg`
}

/** The pictures of a gallery: a drawing has three views, any other picture stands alone. */
export function artGallery(path: string): readonly string[] {
  const name = parseArtName(path)
  if (name === undefined || name.view !== 'plain') return [path]
  return [path, artPath({ ...name, view: 'scene' }), artPath({ ...name, view: 'detail' })]
}

/** The same drawing in another colour; the path itself when it is no drawing or the colour has no palette. */
export function artInColour(path: string, colour: string): string {
  const palette = paletteId(colour)
  const name = parseArtName(path)
  return name === undefined || !byId.has(palette) ? path : artPath({ ...name, palette })
}

/** `#rrggbb` of an English colour name, when it is a palette. */
export function paletteColour(colour: string): string | undefined {
  return byId.get(paletteId(colour))?.base
}

export function paletteOf(id: string): Palette | undefined {
  return byId.get(id)
}

function paletteId(colour: string): string {
  return colour.toLowerCase().replaceAll(' ', '-')
}
