import { box, type Drawing, ellipse, ink, line, metal, paper, shadow, shape, wood } from './paint.js'

const headphones: Drawing = (paint, style) => {
  const soft = style % 2 === 0
  const cup = (x: number, turn: number): string =>
    `<g transform="rotate(${turn} ${x} 250)">${soft ? box(x - 36, 196, 72, 112, 34, 'url(#b)') : ellipse(x, 250, 42, 54, 'url(#b)')}${soft ? box(x - 20, 214, 40, 76, 20, paint.dark) : ellipse(x, 250, 26, 36, paint.dark)}${ellipse(x, 250, 9, 9, style % 3 === 0 ? wood.base : paint.trim)}</g>`
  return `${shadow(200, 330, 130, 15)}${line('M98 226C86 76 314 76 302 226', paint.deep, 22)}${line('M98 214C92 84 308 84 302 214', style % 3 === 1 ? metal.base : paint.base, 12)}${line('M150 106Q200 82 250 106', paint.light, 18)}${cup(98, 6)}${cup(302, -6)}`
}

const speaker: Drawing = (paint, style) => {
  const dots = (x0: number, y0: number, columns: number, rows: number): string => {
    let d = ''
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) d += `M${x0 + column * 14} ${y0 + row * 14}h0`
    return line(d, paint.deep, 6, ' opacity=".55"')
  }
  if (style % 3 === 0) {
    return `${shadow(200, 322, 96)}${shape('M130 138H270V296Q270 322 200 322T130 296Z', 'url(#b)')}${dots(146, 182, 9, 8)}${ellipse(200, 138, 70, 17, paint.dark)}${ellipse(200, 136, 70, 17, style % 2 === 0 ? wood.base : paint.light)}${line('M190 136h20M200 132v8', paper, 3)}${line('M250 150C300 140 300 232 268 238', wood.dark, 8)}`
  }
  if (style % 3 === 1) {
    return `${shadow(200, 324, 132)}${line('M120 168C120 110 280 110 280 168', wood.dark, 10)}${box(72, 166, 256, 150, 22, 'url(#b)')}${box(88, 182, 148, 118, 12, paint.dark, ' opacity=".55"')}${dots(104, 198, 9, 7)}${ellipse(282, 212, 24, 24, paper)}${line('M282 212v-16', ink, 4)}${ellipse(268, 272, 10, 10, metal.base)}${ellipse(298, 272, 10, 10, metal.base)}${box(104, 314, 24, 10, 4, ink)}${box(272, 314, 24, 10, 4, ink)}`
  }
  return `${shadow(200, 324, 92)}${box(124, 88, 152, 234, 26, style % 2 === 0 ? 'url(#w)' : 'url(#b)')}${ellipse(200, 246, 58, 58, '#3b3835')}${ellipse(200, 246, 44, 44, '#55514c')}${ellipse(200, 246, 17, 17, paint.base)}${ellipse(200, 142, 30, 30, '#3b3835')}${ellipse(200, 142, 13, 13, metal.base)}`
}

const keyboard: Drawing = (paint, style) => {
  const columns = style % 2 === 0 ? 12 : 10
  const size = 272 / columns
  let keys = ''
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < columns; column++) {
      const special = column === 0 || column === columns - 1
      const fill = special
        ? paint.dark
        : row === 0 && column === 1
          ? '#d08a4b'
          : (row + column + style) % 11 === 0
            ? paint.light
            : paper
      keys += box(64 + column * size + 2, 150 + row * 27, size - 4, 22, 5, fill)
    }
  }
  const bar = `${box(64 + size * 3 + 2, 258, size * (columns - 6) - 4, 22, 5, style % 3 === 0 ? '#d08a4b' : paper)}${box(66, 258, size * 3 - 4, 22, 5, paint.dark)}${box(66 + size * (columns - 3), 258, size * 3 - 4, 22, 5, paint.dark)}`
  const cable = style % 3 === 1 ? line('M200 134C200 90 250 104 262 70', ink, 7) : ''
  return `<ellipse cx="206" cy="316" rx="170" ry="20" fill="url(#g)"/><g transform="rotate(-6 200 210)">${cable}${box(46, 132, 308, 170, 18, paint.deep)}${box(46, 128, 308, 166, 18, 'url(#b)')}${keys}${bar}</g>`
}

const notebook: Drawing = (paint, style) => {
  const face = [
    line('M270 92V316', paint.deep, 8, ' opacity=".7"'),
    `${box(168, 150, 92, 46, 4, paper)}${line('M184 166h60M184 180h38', ink, 4)}`,
    `${shape('M132 88H300V150H132Z', paint.trim, ' opacity=".85"')}`,
    line('M160 250q22-40 44 0t44 0M160 222q22-40 44 0t44 0', paint.trim, 6, ' opacity=".8"'),
  ][style % 4]
  const pen =
    style % 2 === 0
      ? `<g transform="rotate(28 320 220)">${box(314, 118, 15, 172, 7, style % 3 === 0 ? 'url(#w)' : ink)}${shape('M314 288h15l-7 24z', metal.base)}${box(326, 126, 4, 50, 2, metal.light)}</g>`
      : ''
  return `<ellipse cx="206" cy="328" rx="140" ry="15" fill="url(#g)"/><g transform="rotate(-7 200 210)">${box(120, 96, 186, 232, 10, paint.deep)}${box(118, 92, 184, 230, 8, '#efe8da')}${line('M300 104v206', '#d8cfbd', 2)}${box(112, 84, 186, 232, 10, 'url(#s)')}${box(112, 84, 24, 232, 8, paint.dark, ' opacity=".8"')}${face}</g>${pen}`
}

const pen: Drawing = (paint, style) => {
  const one = (x: number, turn: number, body: string, clip: string): string =>
    `<g transform="rotate(${turn} 200 200)">${box(x, 76, 24, 170, 11, body)}${box(x, 166, 24, 7, 0, clip)}${shape(`M${x} 244h24l-6 44h-12z`, clip)}${shape(`M${x + 8} 288h8l-4 26z`, ink)}${box(x + 19, 84, 6, 66, 3, clip)}${box(x + 5, 84, 4, 150, 2, '#ffffff', ' opacity=".35"')}</g>`
  const gold = style % 2 === 0 ? '#cfa75c' : metal.base
  return `<ellipse cx="206" cy="326" rx="120" ry="12" fill="url(#g)"/>${style % 3 === 0 ? '' : one(232, 30, paint.deep, gold)}${one(style % 3 === 0 ? 188 : 168, 30, 'url(#b)', gold)}${style % 3 === 2 ? one(104, 30, style % 2 === 0 ? 'url(#w)' : paint.light, gold) : ''}`
}

const camera: Drawing = (paint, style) => {
  const top = style % 2 === 0 ? 'url(#m)' : '#3b3a3a'
  const hump = style % 3 === 0 ? shape('M160 142L174 108H226L240 142Z', top) : box(92, 114, 50, 30, 6, top)
  return `${shadow(200, 324, 146, 18)}${line('M66 160C30 240 40 300 62 320M334 160C370 236 362 290 344 322', wood.dark, 9)}${hump}${box(258, 120, 34, 22, 8, metal.dark)}${ellipse(274, 118, 12, 6, style % 3 === 1 ? '#c4573d' : metal.light)}${box(62, 136, 276, 176, 22, 'url(#b)')}${box(62, 136, 276, 44, 20, top)}${box(62, 164, 276, 18, 0, top)}${box(62, 286, 276, 26, 18, paint.deep, ' opacity=".45"')}${ellipse(200, 232, 74, 74, metal.deep)}${ellipse(200, 230, 70, 70, '#2f2e2f')}${ellipse(200, 230, 54, 54, '#454345')}${ellipse(200, 230, 38, 38, '#1d2730')}${ellipse(200, 230, 22, 22, '#3d5a72')}${ellipse(186, 214, 12, 9, '#bcd3e0', ' opacity=".8"')}${box(282, 192, 36, 12, 6, paint.trim, ' opacity=".8"')}${box(86, 150, 36, 18, 5, '#2a3238')}`
}

/** What stands in for a product that has no picture: a parcel. */
const parcel: Drawing = paint =>
  `${shadow(200, 324, 126)}${shape('M96 176L200 214V322L96 282Z', paint.base)}${shape('M304 176L200 214V322L304 282Z', paint.dark)}${shape('M96 176L200 140L304 176L200 214Z', paint.light)}${shape('M146 158L250 196V226L234 220V202L130 164Z', paper, ' opacity=".85"')}`

export const desk: Readonly<Record<string, Drawing>> = { headphones, speaker, keyboard, notebook, pen, camera, parcel }
