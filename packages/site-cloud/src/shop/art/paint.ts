import { contrast, mix } from '../theme.js'
import type { Palette } from './names.js'

/** The colours a drawing is made of, all derived from one palette, so that every product looks lit by the same lamp. */
export interface Paint {
  readonly base: string
  readonly light: string
  readonly dark: string
  readonly deep: string
  /** Small parts that must stand out from the body: labels, stitches, buttons. */
  readonly trim: string
  readonly wall: string
  readonly wallDeep: string
  readonly floor: string
}

export const metal = { base: '#c9c6bf', light: '#eeece7', dark: '#97938b', deep: '#5f5c57' } as const
export const wood = { base: '#c39a6b', light: '#dcbd95', dark: '#9b7446', deep: '#71522f' } as const
export const leaf = { base: '#5d8a5c', light: '#86ac7d', dark: '#3f6846' } as const
export const paper = '#fbf8f1'
export const ink = '#33302c'

export function paintOf(palette: Palette): Paint {
  const { base, wall } = palette
  const pale = contrast(base, '#ffffff') < 1.9
  return {
    base,
    light: mix(base, '#ffffff', pale ? 0.45 : 0.76),
    dark: mix(base, '#1f1a17', 0.8),
    deep: mix(base, '#1b1613', 0.58),
    trim: contrast(base, paper) >= 2.2 ? paper : mix(base, '#2a211b', 0.42),
    wall,
    wallDeep: mix(wall, pale ? '#b8a88f' : base, 0.8),
    floor: mix(wall, '#8d7f6c', 0.86),
  }
}

/** Gradients that drawings fill with: `url(#b)` body, `url(#m)` metal, `url(#w)` wood, `url(#s)` soft light from above, `url(#g)` shadow, `url(#l)` lamplight. */
export function gradients(paint: Paint): string {
  const across = (id: string, stops: readonly [number, string][]): string =>
    `<linearGradient id="${id}">${stops.map(([at, colour]) => `<stop offset="${at}" stop-color="${colour}"/>`).join('')}</linearGradient>`
  return `<defs>${across('b', [
    [0, mix(paint.base, paint.light, 0.55)],
    [0.3, paint.light],
    [0.55, paint.base],
    [1, paint.dark],
  ])}${across('m', [
    [0, metal.base],
    [0.3, metal.light],
    [0.6, metal.base],
    [1, metal.dark],
  ])}${across('w', [
    [0, wood.light],
    [0.6, wood.base],
    [1, wood.dark],
  ])}<linearGradient id="s" x2="0" y2="1"><stop offset="0" stop-color="${paint.light}"/><stop offset="1" stop-color="${paint.base}"/></linearGradient><radialGradient id="g"><stop offset="0" stop-color="#2b211a" stop-opacity=".34"/><stop offset="1" stop-color="#2b211a" stop-opacity="0"/></radialGradient><radialGradient id="l"><stop offset="0" stop-color="#fff0c4" stop-opacity=".95"/><stop offset="1" stop-color="#fff0c4" stop-opacity="0"/></radialGradient></defs>`
}

/** The soft shadow a thing throws on the floor. */
export function shadow(cx: number, cy: number, rx: number, ry = rx * 0.16): string {
  return `<ellipse cx="${cx}" cy="${cy}" rx="${rx}" ry="${ry}" fill="url(#g)"/>`
}

/** An open line with round ends. */
export function line(path: string, colour: string, width: number, more = ''): string {
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"${more}/>`
}

export function shape(path: string, fill: string, more = ''): string {
  return `<path d="${path}" fill="${fill}"${more}/>`
}

export function ellipse(cx: number, cy: number, rx: number, ry: number, fill: string, more = ''): string {
  return `<ellipse cx="${cx}" cy="${cy}" rx="${rx}" ry="${ry}" fill="${fill}"${more}/>`
}

export function box(
  x: number,
  y: number,
  width: number,
  height: number,
  radius: number,
  fill: string,
  more = '',
): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}" fill="${fill}"${more}/>`
}

/** Draws one kind of goods on a 400 x 400 sheet; its floor is at y = 322. Equal arguments give equal text. */
export type Drawing = (paint: Paint, style: number) => string
