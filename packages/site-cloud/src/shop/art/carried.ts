import { box, type Drawing, ellipse, ink, line, metal, paper, shadow, shape, wood } from './paint.js'

const backpack: Drawing = (paint, style) => {
  const roll = style % 3 === 1
  const pocket =
    style % 2 === 0
      ? `${box(136, 236, 128, 66, 16, paint.dark)}${line('M150 256h100', paint.trim, 4, ' opacity=".8"')}`
      : `${box(132, 248, 60, 56, 12, paint.dark)}${box(208, 248, 60, 56, 12, paint.dark)}${line('M146 262h32M222 262h32', paint.trim, 4, ' opacity=".8"')}`
  const top = roll
    ? `${box(124, 104, 152, 44, 18, paint.dark)}${line('M160 104v84M240 104v84', wood.dark, 10)}${box(152, 172, 16, 20, 4, metal.base)}${box(232, 172, 16, 20, 4, metal.base)}`
    : `${shape('M116 168C118 112 156 92 200 92S282 112 284 168Q284 206 200 206T116 168Z', paint.base)}${line('M118 172Q122 202 200 204T282 172', paint.deep, 4, ' opacity=".5"')}${box(190, 190, 20, 30, 5, style % 2 === 0 ? wood.base : metal.base)}`
  return `${shadow(200, 324, 110)}${line('M172 98C168 58 232 58 228 98', paint.deep, 10)}${line('M112 190Q86 250 112 304M288 190Q314 250 288 304', paint.deep, 13)}${shape('M112 176C112 120 150 100 200 100S288 120 288 176V296Q288 322 262 322H138Q112 322 112 296Z', 'url(#b)')}${top}${pocket}`
}

const tote: Drawing = (paint, style) => {
  const print = [
    `${ellipse(200, 250, 34, 34, paint.trim, ' opacity=".9"')}`,
    line('M156 272q44-70 88 0', paint.trim, 9) + ellipse(200, 226, 13, 13, paint.trim),
    `${box(110, 262, 180, 60, 0, paint.deep, ' opacity=".6"')}`,
    line('M168 232h64M168 252h64M168 272h38', paint.trim, 7),
  ][style % 4]
  const grip = style % 2 === 0 ? paint.dark : wood.dark
  return `${shadow(200, 324, 116)}${line('M152 178C146 66 254 66 248 178', grip, 10)}${shape('M106 172H294L304 304Q304 322 286 322H114Q96 322 96 304Z', 'url(#b)')}${print}${line('M150 172V206M250 172V206', grip, 10)}${line('M108 184H292', paint.deep, 3, ' opacity=".4" stroke-dasharray="6 6"')}`
}

const sneaker: Drawing = (paint, style) => {
  const sole = style % 3 === 2 ? '#c9a27a' : paper
  const accent = style % 2 === 0 ? paint.trim : paint.deep
  const marks = [
    line('M204 246L236 280M228 240L258 276', accent, 9),
    shape('M176 282Q240 280 300 250Q262 296 182 298Z', accent),
    shape('M66 214L108 208L112 290H62Z', accent, ' opacity=".85"'),
  ][style % 3]
  return `${shadow(204, 326, 150, 17)}${shape('M60 196Q58 176 76 180Q104 196 128 176Q148 160 168 172L232 232Q262 246 310 252Q348 260 348 296H60Z', 'url(#b)')}${shape('M76 180Q104 196 128 176Q146 162 168 172L148 196Q112 216 68 206Z', paint.dark)}${marks}${shape('M296 250Q346 256 348 296H286Q282 266 296 250Z', paint.light, ' opacity=".75"')}${line('M160 188l26-6M176 203l26-6M192 218l26-6M208 232l24-4', accent === paper ? '#ffffff' : paper, 7)}${shape('M52 292H352Q358 322 330 322H76Q48 322 52 292Z', sole)}${line('M60 306H346', paint.deep, 3, ' opacity=".28"')}`
}

const watch: Drawing = (paint, style) => {
  const steel = style % 2 === 0
  const strap = style % 3 === 1 ? 'url(#m)' : 'url(#b)'
  const marks = Array.from(
    { length: 12 },
    (_, hour) =>
      `<rect x="198" y="132" width="4" height="${hour % 3 === 0 ? 13 : 7}" rx="2" fill="${ink}" transform="rotate(${hour * 30} 200 200)"/>`,
  ).join('')
  const dial = style % 4 === 3 ? paint.deep : paper
  const hand = style % 4 === 3 ? paper : ink
  const links =
    style % 3 === 1
      ? line('M166 70h68M166 90h68M166 110h68M166 290h68M166 310h68M166 330h68', metal.deep, 2, ' opacity=".6"')
      : line('M180 60v60M220 60v60M180 282v60M220 282v60', paint.deep, 2, ' opacity=".5" stroke-dasharray="5 5"')
  return `${shadow(204, 352, 80, 10)}${shape('M168 134L174 46Q175 36 186 36H214Q225 36 226 46L232 134ZM168 266L174 354Q175 364 186 364H214Q225 364 226 354L232 266Z', strap)}${links}${box(280, 188, 14, 24, 5, steel ? metal.dark : '#b08b4f')}${ellipse(200, 200, 88, 88, steel ? metal.dark : '#b08b4f')}${ellipse(200, 198, 86, 86, steel ? 'url(#m)' : '#d9b877')}${ellipse(200, 200, 72, 72, dial)}${dial === paper ? marks : marks.replaceAll(ink, paper)}${line('M200 200L200 154', hand, 5)}${line('M200 200L234 218', hand, 5)}${line('M200 212L176 148', paint.base === dial ? metal.base : '#c4573d', 2.5)}${ellipse(200, 200, 6, 6, hand)}<path d="M146 168A64 64 0 0 1 214 138" stroke="#fff" stroke-width="8" fill="none" opacity=".35" stroke-linecap="round"/>`
}

const umbrella: Drawing = (paint, style) => {
  const panels =
    style % 2 === 0
      ? [paint.base, paint.light, paint.base, paint.dark]
      : [paint.dark, paint.base, paint.light, paint.base]
  const canopy = `${shape('M48 214C60 122 128 76 200 76Q150 120 132 214Q90 188 48 214Z', panels[0] ?? paint.base)}${shape('M132 214Q150 120 200 76Q206 140 204 214Q168 190 132 214Z', panels[1] ?? paint.base)}${shape('M204 214Q206 140 200 76Q254 122 272 214Q238 190 204 214Z', panels[2] ?? paint.base)}${shape('M272 214Q254 122 200 76C272 76 340 122 352 214Q312 188 272 214Z', panels[3] ?? paint.base)}`
  const grip = style % 3 === 0 ? wood.base : ink
  return `${shadow(212, 352, 90, 9)}${line('M200 66V84', metal.deep, 6)}${line('M202 200V318', metal.base, 7)}${line('M202 288V318C202 352 244 352 244 322', grip, 13)}${canopy}${style % 3 === 1 ? line('M66 186Q130 150 200 150T334 186', paint.trim, 5, ' opacity=".7"') : ''}`
}

export const carried: Readonly<Record<string, Drawing>> = { backpack, tote, sneaker, watch, umbrella }
