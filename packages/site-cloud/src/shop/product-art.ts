import { carried } from './art/carried.js'
import { desk } from './art/desk.js'
import { home } from './art/home.js'
import { kitchen } from './art/kitchen.js'
import { type ArtName, paletteOf, parseArtName } from './art/names.js'
import { box, type Drawing, ellipse, gradients, type Paint, paintOf, shape } from './art/paint.js'

const drawings: Readonly<Record<string, Drawing>> = { ...kitchen, ...home, ...carried, ...desk }

/** Kinds of goods that can be drawn. */
export const artKinds: readonly string[] = Object.keys(drawings)

/** Picture of products without one. */
export const placeholderArt = 'art/parcel-oat.svg'

/**
 * Draws the picture named `art/<kind>-<palette>[-<style>][-<view>].svg`: the same name gives the same bytes on every
 * machine. `style` (0 to 99) changes form and setting, so that products of one kind do not look alike.
 * @returns the SVG document, or undefined when the name is not one.
 */
export function productArt(path: string): string | undefined {
  const name = parseArtName(path)
  if (name === undefined || !Object.hasOwn(drawings, name.kind)) return undefined
  const palette = paletteOf(name.palette)
  const drawing = drawings[name.kind]
  if (palette === undefined || drawing === undefined) return undefined
  const paint = paintOf(palette)
  const thing = drawing(paint, name.style)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="800" height="800">${gradients(paint)}${views[name.view](paint, name, thing)}</svg>`
}

const views: Readonly<Record<ArtName['view'], (paint: Paint, name: ArtName, thing: string) => string>> = {
  plain: (paint, { kind, palette, style }, thing) =>
    `${box(0, 0, 400, 400, 0, paint.wall)}${setting(paint, style + kind.length + palette.length)}<g transform="translate(22 18) scale(.89)">${thing}</g>`,
  scene: (paint, { style }, thing) =>
    `${box(0, 0, 400, 400, 0, paint.wall)}${room(paint, style)}<g transform="translate(${style % 2 === 0 ? 66 : 86} 92) scale(.62)">${thing}</g>`,
  detail: (paint, { style }, thing) =>
    `${box(0, 0, 400, 400, 0, paint.wallDeep)}<g transform="translate(${style % 2 === 0 ? -150 : -210} -170) scale(1.8)">${thing}</g>`,
}

/** The shape behind a product. */
function setting(paint: Paint, style: number): string {
  const settings = [
    ellipse(200, 196, 146, 146, paint.wallDeep),
    `${box(0, 292, 400, 108, 0, paint.floor)}`,
    shape('M66 400V210C66 120 126 64 200 64S334 120 334 210V400Z', paint.wallDeep),
    shape('M0 400V250L400 130V400Z', paint.wallDeep),
    `${ellipse(286, 122, 78, 78, paint.wallDeep)}${box(0, 304, 400, 96, 0, paint.floor)}`,
  ]
  return settings[style % settings.length] ?? ''
}

/** A window, its light on the wall, and a table. */
function room(paint: Paint, style: number): string {
  const x = style % 2 === 0 ? 226 : 46
  return `${box(x, 44, 128, 150, style % 3 === 0 ? 64 : 4, '#ffffff', ' opacity=".55"')}${box(x + 60, 44, 8, 150, 0, paint.wall)}${box(x, 112, 128, 8, 0, paint.wall)}${shape(`M${x - 60} 270L${x + 70} 270L${x + 10} 400H${x - 140}Z`, '#ffffff', ' opacity=".16"')}${box(0, 290, 400, 110, 0, paint.floor)}${box(0, 290, 400, 5, 0, paint.wallDeep)}`
}
