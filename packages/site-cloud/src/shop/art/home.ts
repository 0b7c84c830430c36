import { box, type Drawing, ellipse, leaf, line, metal, paper, shadow, shape, wood } from './paint.js'

const lamp: Drawing = (paint, style) => {
  const glow = ellipse(200, 214, 190, 150, 'url(#l)')
  const stem = style % 2 === 0 ? 'url(#m)' : 'url(#w)'
  const heads = [
    `${ellipse(200, 196, 62, 10, '#ffe9b3')}${shape('M158 104H242L284 192Q200 212 116 192Z', 'url(#b)')}`,
    `${ellipse(200, 190, 84, 12, '#ffe9b3')}${shape('M104 186C104 110 152 84 200 84S296 110 296 186Q248 200 200 200T104 186Z', 'url(#b)')}`,
    `${ellipse(200, 140, 66, 66, '#fff4d6')}${ellipse(200, 140, 66, 66, paint.light, ' opacity=".35"')}${ellipse(178, 118, 16, 22, '#ffffff', ' opacity=".6" transform="rotate(30 178 118)"')}`,
    `${ellipse(202, 200, 58, 9, '#ffe9b3')}${shape('M166 96H238V150L262 196Q202 212 142 196L166 150Z', 'url(#b)')}`,
  ]
  return `${shadow(200, 324, 104)}${glow}${box(193, 180, 14, 130, 5, stem)}${ellipse(200, 312, 58, 12, style % 2 === 0 ? metal.dark : wood.dark)}${ellipse(200, 308, 58, 12, style % 2 === 0 ? metal.base : wood.base)}${heads[style % 4]}`
}

const candle: Drawing = (paint, style) => {
  const flame =
    '<ellipse cx="200" cy="138" rx="104" ry="104" fill="url(#l)"/><path d="M200 104c20 26 20 44 0 52c-20-8-20-26 0-52z" fill="#f6a63c"/><path d="M200 124c9 13 9 24 0 29c-9-5-9-16 0-29z" fill="#fff0c2"/>'
  const label =
    style % 2 === 0
      ? `${box(156, 226, 88, 62, 3, paper)}${line('M172 246h56M180 262h40', paint.deep, 4)}`
      : `${ellipse(200, 256, 34, 34, paper)}${line('M186 262q14-26 30-20q-4 22-30 20z', leaf.base, 4)}`
  return `${shadow(200, 322, 96)}${flame}${line('M200 156v22', '#4b4038', 4)}${shape('M128 184H272V294Q272 322 240 322H160Q128 322 128 294Z', 'url(#b)', ' opacity=".93"')}${ellipse(200, 184, 72, 15, paint.light)}${ellipse(200, 187, 60, 11, '#fff3df')}${label}${box(142, 204, 8, 96, 4, '#ffffff', ' opacity=".32"')}`
}

const chair: Drawing = (paint, style) => {
  const legs = style % 2 === 0 ? wood.base : '#3c3a38'
  const back = [
    `${shape('M124 96Q200 74 276 96L270 206Q200 190 130 206Z', 'url(#b)')}`,
    `${line('M128 100Q200 74 272 100', legs, 14)}${line('M156 92L162 216M200 86V212M244 92L238 216', legs, 9)}${line('M128 100L140 232M272 100L260 232', legs, 12)}`,
    `${shape('M108 190C96 112 148 82 200 82S304 112 292 190Q296 224 262 224H138Q104 224 108 190Z', 'url(#b)')}${line('M150 110Q138 156 146 214M250 110Q262 156 254 214', paint.dark, 4, ' opacity=".5"')}`,
  ][style % 3]
  return `${shadow(200, 326, 120)}${line('M150 250L134 322M250 250L266 322', legs, 12)}${line('M170 246L164 302M230 246L236 302', legs, 9, ' opacity=".75"')}${back}${shape('M106 226Q200 198 294 226L300 246Q200 276 100 246Z', paint.dark)}${shape('M106 218Q200 190 294 218Q302 232 290 238Q200 262 110 238Q98 232 106 218Z', 'url(#s)')}`
}

const planter: Drawing = (paint, style) => {
  const blade = (x: number, lean: number, height: number, colour: string): string =>
    shape(
      `M${x - 12} 232Q${x - 18 + lean} ${232 - height * 0.6} ${x + lean} ${232 - height}Q${x + 20 + lean * 0.6} ${232 - height * 0.5} ${x + 12} 232Z`,
      colour,
    )
  const round = (x: number, y: number, r: number, turn: number, colour: string): string =>
    `${line(`M200 236Q${(200 + x) / 2 + 6} ${(y + 236) / 2} ${x} ${y}`, leaf.dark, 4)}<path d="M${x} ${y - r}q${r} ${r * 0.5} ${r * 0.5} ${r * 1.4}q${-r * 0.5} ${r * 0.5} ${-r} 0q${-r * 0.5} ${-r * 0.9} ${r * 0.5} ${-r * 1.4}z" fill="${colour}" transform="rotate(${turn} ${x} ${y})"/>`
  const plants = [
    blade(174, -26, 130, leaf.dark) +
      blade(226, 28, 138, leaf.dark) +
      blade(190, -8, 176, leaf.base) +
      blade(212, 12, 156, leaf.light),
    round(136, 150, 34, -40, leaf.dark) +
      round(264, 146, 34, 40, leaf.base) +
      round(170, 104, 36, -12, leaf.base) +
      round(232, 98, 34, 16, leaf.light) +
      round(200, 166, 32, 4, leaf.light),
    `${box(170, 104, 60, 136, 30, leaf.base)}${line('M186 122v104M200 116v112M214 122v104', leaf.dark, 3, ' opacity=".6"')}${line('M230 190q34 2 32-36', leaf.base, 22)}${line('M170 204q-30 0-30-30', leaf.base, 20)}${ellipse(200, 104, 11, 9, '#e59a8c')}`,
    [-64, -36, -10, 16, 42, 66]
      .map((lean, index) =>
        line(
          `M200 238Q${200 + lean * 0.3} ${150 - index * 3} ${200 + lean * 1.6} ${150 + Math.abs(lean) * 0.9}`,
          index % 2 === 0 ? leaf.base : leaf.light,
          13,
        ),
      )
      .join(''),
  ][style % 4]
  const pot =
    style % 2 === 0
      ? `${shape('M132 230H268L252 308Q250 322 234 322H166Q150 322 148 308Z', 'url(#b)')}${box(124, 216, 152, 26, 8, paint.dark)}`
      : `${shape('M136 226H264Q284 300 244 322H156Q116 300 136 226Z', 'url(#b)')}${ellipse(200, 227, 64, 11, paint.deep)}`
  return `${shadow(200, 324, 96)}${plants}${pot}`
}

const cushion: Drawing = (paint, style) => {
  const body =
    'M96 112Q200 136 304 112Q328 116 322 140Q302 216 322 292Q326 318 302 320Q200 298 98 320Q74 318 78 292Q98 216 78 140Q72 116 96 112Z'
  const pattern = [
    line(
      'M128 120Q142 216 128 312M164 126Q172 216 164 306M200 127V304M236 126Q228 216 236 306M272 120Q258 216 272 312',
      paint.trim,
      6,
      ' opacity=".75"',
    ),
    [140, 178, 216, 254]
      .map((y, row) =>
        [124, 162, 200, 238, 276]
          .map(x => ellipse(x + (row % 2) * 12 - 6, y + 22, 7, 7, paint.trim, ' opacity=".8"'))
          .join(''),
      )
      .join(''),
    line('M200 127V304M94 216Q200 204 306 216', paint.deep, 4, ' opacity=".45"') + ellipse(200, 212, 9, 9, paint.deep),
    shape(
      'M84 236Q200 220 316 236Q318 280 322 300Q322 318 302 320Q200 298 98 320Q78 318 78 300Q82 270 84 236Z',
      paint.trim,
      ' opacity=".8"',
    ),
  ][style % 4]
  return `${shadow(200, 326, 140, 16)}${shape(body, 'url(#b)')}${pattern}<path d="M112 140Q124 216 110 290" stroke="#fff" stroke-width="7" fill="none" opacity=".28" stroke-linecap="round"/>`
}

const towel: Drawing = (paint, style) => {
  const fold = (y: number, fill: string, stripe: string): string =>
    `${box(92, y, 216, 50, 24, fill)}${box(92, y + 6, 40, 38, 19, paint.deep, ' opacity=".28"')}${box(250, y, 13, 50, 0, stripe, ' opacity=".8"')}${style % 2 === 0 ? box(272, y, 6, 50, 0, stripe, ' opacity=".8"') : ''}`
  const many = style % 3 === 2
  return `${shadow(200, 324, 140, 18)}${fold(272, paint.dark, paint.trim)}${fold(222, paint.base, paint.trim)}${fold(172, paint.light, many ? paint.base : paint.deep)}${many ? `${box(128, 128, 144, 46, 22, '#f3ede2')}${ellipse(150, 151, 16, 16, paint.base, ' opacity=".5"')}` : line('M120 172q34-48 84-52', leaf.dark, 5) + shape('M204 120q26-22 44-8q-14 24-44 8z', leaf.base) + shape('M172 134q-6-30 16-40q10 26-16 40z', leaf.light)}`
}

export const home: Readonly<Record<string, Drawing>> = { lamp, candle, chair, planter, cushion, towel }
