import { box, type Drawing, ellipse, ink, line, metal, paper, shadow, shape, wood } from './paint.js'

const kettle: Drawing = (paint, style) => {
  const tall = style % 3 === 1
  const top = tall ? 150 : 188
  const grip = style % 2 === 0 ? wood.base : ink
  const handle =
    style % 3 === 2
      ? line(`M148 ${top + 12}C140 96 260 96 252 ${top + 12}`, grip, 13)
      : line(`M142 ${top + 22}C72 ${top + 2} 64 ${top + 104} 132 288`, grip, 14)
  const spout =
    style % 2 === 0
      ? line(`M258 292C322 286 286 ${top + 30} 334 ${top + 6}`, paint.dark, 15) +
        line(`M258 288C316 282 282 ${top + 28} 330 ${top + 3}`, paint.base, 9)
      : shape(`M244 ${top + 70}L322 ${top + 14}L332 ${top + 26}L262 ${top + 130}Z`, paint.dark)
  return `${shadow(200, 322, 118)}${handle}${spout}${shape(
    `M${tall ? 146 : 128} 300C${tall ? 140 : 118} 240 ${tall ? 150 : 142} ${top} 200 ${top}C${tall ? 250 : 258} ${top} ${tall ? 260 : 282} 240 ${tall ? 254 : 272} 300Q270 320 250 320H150Q130 320 ${tall ? 146 : 128} 300Z`,
    'url(#b)',
  )}${ellipse(200, top + 3, 44, 9, paint.dark)}${shape(`M160 ${top}Q200 ${top - 24} 240 ${top}Z`, paint.base)}${ellipse(200, top - 18, 11, 10, grip)}${box(140, 306, 120, 8, 4, paint.deep, ' opacity=".35"')}`
}

const mug: Drawing = (paint, style) => {
  const steam =
    style % 2 === 0 ? line('M178 150c-12-16 12-24 0-42M212 154c-12-16 12-24 0-42', '#ffffff', 6, ' opacity=".75"') : ''
  const band = [
    `${box(118, 236, 140, 30, 0, paint.trim, ' opacity=".85"')}`,
    `${ellipse(188, 250, 26, 26, paint.trim, ' opacity=".9"')}`,
    line('M120 232q17-14 34 0t34 0t34 0t34 0M120 254q17-14 34 0t34 0t34 0t34 0', paint.trim, 5, ' opacity=".85"'),
    shape('M118 262H258V290Q258 320 226 320H150Q118 320 118 290Z', paint.deep, ' opacity=".55"'),
  ][style % 4]
  return `${shadow(196, 322, 104)}${steam}${line('M254 206c58-12 62 74 2 70', paint.dark, 17)}${shape(
    'M118 178H258V290Q258 320 226 320H150Q118 320 118 290Z',
    'url(#b)',
  )}${band}${ellipse(188, 178, 70, 15, paint.light)}${ellipse(188, 180, 60, 11, '#5b3a26')}${ellipse(176, 178, 26, 4, '#8a5f41', ' opacity=".7"')}`
}

const teapot: Drawing = (paint, style) => {
  const bamboo = style % 2 === 1
  const handle = bamboo
    ? line('M140 206C128 104 262 104 250 206', wood.base, 11) + line('M146 186l10-4M240 186l-8-6', wood.deep, 5)
    : line('M118 232c-58-6-52 74 8 62', paint.dark, 15)
  const lines = style % 3 === 0 ? '' : line('M126 262q74 30 142 0', paint.trim, 4, ' opacity=".7"')
  return `${shadow(196, 322, 122)}${handle}${shape('M262 276C310 270 300 214 336 202L344 216C324 226 326 290 268 300Z', paint.dark)}${shape(
    'M106 262C106 214 148 196 196 196S286 214 286 262C286 300 250 320 196 320S106 300 106 262Z',
    'url(#b)',
  )}${lines}${ellipse(196, 201, 50, 11, paint.dark)}${shape('M150 198Q196 164 242 198Z', paint.base)}${ellipse(196, 172, 11, 11, bamboo ? wood.base : paint.deep)}${ellipse(158, 236, 12, 22, '#ffffff', ' opacity=".28" transform="rotate(24 158 236)"')}`
}

const tin: Drawing = (paint, style) => {
  const label = [
    `${box(150, 216, 100, 70, 4, paper)}${line('M168 262q32-40 64-34q-8 36-64 34zM168 262l40-20', '#6b8a5a', 4)}`,
    `${ellipse(200, 250, 40, 40, paper)}${line('M182 262q18-34 40-28q-4 30-40 28z', '#6b8a5a', 4)}`,
    `${box(180, 196, 40, 104, 2, paper)}${line('M200 212v14M200 238v14M200 264v14', ink, 5)}`,
  ][style % 3]
  const tall = style % 2 === 0 ? 0 : 24
  return `${shadow(200, 322, 92)}${shape(`M136 ${166 + tall}H264V306Q264 322 200 322T136 306Z`, 'url(#b)')}${label}${shape(
    `M130 ${150 + tall}H270V${178 + tall}Q236 ${190 + tall} 200 ${190 + tall}T130 ${178 + tall}Z`,
    paint.dark,
  )}${ellipse(200, 150 + tall, 70, 15, paint.base)}${ellipse(200, 148 + tall, 52, 9, paint.light, ' opacity=".6"')}`
}

const pan: Drawing = (paint, style) => {
  if (style % 2 === 1) {
    return `${shadow(200, 322, 130)}${line('M92 240h-22M308 240h22', paint.deep, 15)}${shape('M92 214H308V288Q308 320 272 320H128Q92 320 92 288Z', 'url(#b)')}${ellipse(200, 214, 112, 18, paint.dark)}${shape('M92 210Q104 158 200 156T308 210Q260 224 200 224T92 210Z', paint.base)}${shape('M130 194Q160 168 204 168Q160 178 146 200Z', '#ffffff', ' opacity=".3"')}${box(178, 136, 44, 22, 11, style % 3 === 0 ? wood.base : paint.deep)}`
  }
  return `${shadow(180, 320, 140)}${line('M286 262L372 226', style % 3 === 0 ? wood.base : ink, 19)}${line('M286 262L312 251', metal.dark, 13)}${shape('M52 258H308C308 300 266 320 180 320S52 300 52 258Z', 'url(#b)')}${ellipse(180, 258, 128, 34, paint.dark)}${ellipse(180, 261, 114, 27, '#3b3835')}${ellipse(150, 254, 62, 11, '#57534e', ' opacity=".8"')}`
}

const bowl: Drawing = (paint, style) => {
  const rim =
    style % 3 === 0
      ? line('M84 222q116 40 232 0', paint.trim, 6, ' opacity=".8"')
      : style % 3 === 1
        ? line('M92 244q12-12 24 0t24 4t24 2t24 1t24-1t24-2t24-4t24-4', paint.trim, 5, ' opacity=".8"')
        : ''
  const sticks = style % 2 === 0 ? line('M244 176L356 118M252 190L366 140', wood.dark, 7) : ''
  return `${shadow(200, 322, 108)}${box(158, 300, 84, 22, 6, paint.deep)}${shape('M78 196H322C318 272 268 312 200 312S82 272 78 196Z', 'url(#b)')}${rim}${ellipse(200, 196, 122, 27, paint.light)}${ellipse(200, 200, 108, 20, paint.dark, ' opacity=".75"')}${sticks}`
}

const bottle: Drawing = (paint, style) => {
  const wide = style % 3 === 1 ? 10 : 0
  const loop = style % 2 === 0 ? line('M176 108C170 66 230 66 224 108', ink, 8) : ''
  const cap = style % 3 === 2 ? 'url(#w)' : paint.deep
  const mark =
    style % 4 < 2
      ? box(150 - wide, 236, 100 + wide * 2, 12, 0, paint.trim, ' opacity=".8"')
      : ellipse(200, 236, 14, 14, paint.trim, ' opacity=".9"')
  return `${shadow(200, 322, 82)}${loop}${box(170, 98, 60, 40, 9, cap)}${shape(
    `M${150 - wide} 178Q${152 - wide} 140 178 134H222Q${248 + wide} 140 ${250 + wide} 178V300Q${250 + wide} 322 228 322H172Q${150 - wide} 322 ${150 - wide} 300Z`,
    'url(#b)',
  )}${mark}${box(170 - wide, 168, 9, 130, 5, '#ffffff', ' opacity=".3"')}`
}

export const kitchen: Readonly<Record<string, Drawing>> = { kettle, mug, teapot, tin, pan, bowl, bottle }
