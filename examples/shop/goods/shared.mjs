// Words that all categories share. Every text is [Chinese, English].

/**
 * Lines of design. Each gives a product its name and one sentence: how it looks in a home, how it wears when it is
 * carried, and, for tea, how it tastes.
 */
export const series = [
  {
    name: ['晨光', 'Dawn'],
    home: ['线条柔和，颜色取自清晨的第一缕光。', 'Soft lines, in colours taken from first light.'],
    worn: ['颜色柔和百搭，出门不用多想。', 'Soft colours that go with everything.'],
    tea: ['清晨采摘，入口清新。', 'Picked at daybreak, and fresh on the tongue.'],
  },
  {
    name: ['港湾', 'Harbour'],
    home: ['轮廓圆润饱满，握在手里很踏实。', 'Full, rounded contours that sit well in the hand.'],
    worn: ['边角圆润，贴身携带也不硌人。', 'Rounded edges that never dig in.'],
    tea: ['汤感饱满，适合饭后慢饮。', 'A full cup for after dinner.'],
  },
  {
    name: ['山脊', 'Ridge'],
    home: ['棱线利落，转角经过手工打磨。', 'Crisp edges, with corners finished by hand.'],
    worn: ['轮廓利落，关键部位都有加固。', 'A crisp outline, reinforced where it counts.'],
    tea: ['产自海拔八百米以上的山场。', 'Grown above 800 metres.'],
  },
  {
    name: ['青野', 'Meadow'],
    home: ['哑光表面，不反光，也不留指纹。', 'A matte surface that neither glares nor shows fingerprints.'],
    worn: ['哑光质感，日常磕碰不明显。', 'A matte finish that hides daily knocks.'],
    tea: ['带着青草与花的香气。', 'With an aroma of grass and blossom.'],
  },
  {
    name: ['石刻', 'Quarry'],
    home: ['带有细腻的石纹质感，每一件都略有不同。', 'A fine stone texture; no two pieces are quite the same.'],
    worn: ['配色取自岩石，耐脏耐看。', 'Colours of rock that forgive a little dirt.'],
    tea: ['带有明显的矿物感。', 'Distinctly mineral.'],
  },
  {
    name: ['归帆', 'Sail'],
    home: ['比例修长，放在哪里都显得轻盈。', 'Slender proportions that look light wherever it stands.'],
    worn: ['轻盈利落，长时间使用也不累。', 'Light and trim, even at the end of the day.'],
    tea: ['滋味清淡，全天都能喝。', 'Light enough to drink all day.'],
  },
  {
    name: ['阁楼', 'Loft'],
    home: ['为小空间设计，收纳时不占地方。', 'Made for small rooms, and easy to put away.'],
    worn: ['小巧不占地方，收纳方便。', 'Compact, and easy to put away.'],
    tea: ['小罐分装，开罐即饮。', 'Packed in small tins that stay fresh.'],
  },
  {
    name: ['潮汐', 'Tide'],
    home: ['颜色由浅到深自然过渡，像退潮后的沙滩。', 'Its colour runs from light to deep, like sand at low tide.'],
    worn: ['渐变配色，细看很有层次。', 'Shaded colours that reward a second look.'],
    tea: ['香气层层展开，耐冲泡。', 'It opens slowly and takes many infusions.'],
  },
  {
    name: ['林间', 'Grove'],
    home: ['与木质家具放在一起格外和谐。', 'Looks especially at home beside wooden furniture.'],
    worn: ['大地色系，走在城市和山里都合适。', 'Earth tones, for the city and the hills.'],
    tea: ['茶园与树林相间，叶片厚实。', 'From gardens among the trees, with thick leaves.'],
  },
  {
    name: ['素简', 'Plain'],
    home: ['没有多余的装饰，只留下需要的部分。', 'No ornament: only the parts that are needed.'],
    worn: ['没有大标志，只留下需要的部分。', 'No logos: only the parts that are needed.'],
    tea: ['不加香，不拼配，原叶本味。', 'Unscented, unblended, whole leaf.'],
  },
  {
    name: ['远行', 'Atlas'],
    home: ['减轻了重量，搬动很轻松。', 'Made lighter, and easy to move.'],
    worn: ['减轻了重量，方便随身携带。', 'Made lighter, so that it travels well.'],
    tea: ['独立包装，出差也能好好喝茶。', 'Wrapped in portions for the road.'],
  },
  {
    name: ['工坊', 'Workshop'],
    home: ['小批量制作，出厂前逐件检查。', 'Made in small batches, each piece checked before it leaves.'],
    worn: ['小批量制作，出厂前逐件检查。', 'Made in small batches, each piece checked before it leaves.'],
    tea: ['老师傅手工炒制，每批都有编号。', 'Fired by hand, and every batch is numbered.'],
  },
  {
    name: ['余温', 'Ember'],
    home: ['暖色调，适合秋冬的夜晚。', 'Warm tones for autumn and winter evenings.'],
    worn: ['暖色调，秋冬穿搭的点睛之笔。', 'A warm accent for autumn and winter.'],
    tea: ['轻微烘焙，入口温润。', 'Lightly roasted and mellow.'],
  },
  {
    name: ['北窗', 'North'],
    home: ['冷静克制的配色，耐看不过时。', 'A calm, restrained palette that does not date.'],
    worn: ['冷静克制的配色，耐看不过时。', 'A calm, restrained palette that does not date.'],
    tea: ['北坡茶园，生长慢，滋味浓。', 'From slow-growing northern slopes.'],
  },
  {
    name: ['柳岸', 'Willow'],
    home: ['弧线舒展，细看处处有呼应。', 'Open curves that echo each other, down to the details.'],
    worn: ['线条顺着身体走，贴合舒适。', 'Lines that follow the body.'],
    tea: ['条索纤细，汤色明亮。', 'Slender leaves and a bright cup.'],
  },
  {
    name: ['四时', 'Seasons'],
    home: ['一年四季都用得上的款式。', 'A design for every season of the year.'],
    worn: ['一年四季都用得上的款式。', 'A design for every season of the year.'],
    tea: ['按节气采制，一季一味。', 'Picked by the solar terms; each season has its taste.'],
  },
  {
    name: ['原点', 'Origin'],
    home: ['复刻了品牌的第一款设计，细节做了改进。', 'A return to the maker’s first design, with better details.'],
    worn: ['复刻了品牌的第一款设计，细节做了改进。', 'A return to the maker’s first design, with better details.'],
    tea: ['核心产区原料，可查到具体茶园。', 'From the core region, traceable to its garden.'],
  },
  {
    name: ['微风', 'Breeze'],
    home: ['触感轻柔，用起来没有负担。', 'Gentle to the touch and effortless to use.'],
    worn: ['透气轻柔，夏天也舒服。', 'Airy and gentle, even in summer.'],
    tea: ['低温慢焙，口感轻柔。', 'Dried slowly at low heat for a gentle cup.'],
  },
  {
    name: ['收藏', 'Archive'],
    home: [
      '选自品牌档案的经典造型，限量复产。',
      'A classic from the maker’s archive, produced again in limited numbers.',
    ],
    worn: [
      '选自品牌档案的经典造型，限量复产。',
      'A classic from the maker’s archive, produced again in limited numbers.',
    ],
    tea: ['适合存放，每年都有新变化。', 'Worth keeping: it changes with the years.'],
  },
]

/** Colours; the English name in lower case with hyphens is the palette of the shop's drawings. */
export const colours = {
  'chalk-white': ['瓷白', 'Chalk White'],
  charcoal: ['炭黑', 'Charcoal'],
  'sea-blue': ['海蓝', 'Sea Blue'],
  'forest-green': ['松绿', 'Forest Green'],
  'clay-red': ['陶红', 'Clay Red'],
  mustard: ['芥末黄', 'Mustard'],
  sage: ['灰豆绿', 'Sage'],
  blush: ['浅粉', 'Blush'],
  oat: ['燕麦', 'Oat'],
  walnut: ['胡桃棕', 'Walnut'],
  sky: ['天青', 'Sky'],
  plum: ['梅紫', 'Plum'],
  olive: ['橄榄绿', 'Olive'],
  steel: ['银灰', 'Steel'],
}

export const materials = {
  steel: ['304 不锈钢', '18/8 stainless steel'],
  enamel: ['搪瓷铸铁', 'Enamelled cast iron'],
  iron: ['铸铁', 'Cast iron'],
  stoneware: ['粗陶', 'Stoneware'],
  porcelain: ['高温白瓷', 'Porcelain'],
  glass: ['高硼硅玻璃', 'Borosilicate glass'],
  clay: ['紫砂', 'Zisha clay'],
  tinplate: ['马口铁', 'Tinplate'],
  tritan: ['Tritan', 'Tritan'],
  oak: ['白橡木', 'White oak'],
  walnut: ['黑胡桃木', 'Black walnut'],
  ash: ['白蜡木', 'Ash wood'],
  linen: ['亚麻', 'Linen'],
  cotton: ['长绒棉', 'Long-staple cotton'],
  canvas: ['16 安帆布', '16 oz canvas'],
  nylon: ['再生尼龙', 'Recycled nylon'],
  leather: ['植鞣牛皮', 'Vegetable-tanned leather'],
  suede: ['反绒牛皮', 'Suede leather'],
  mesh: ['针织网面', 'Knitted mesh'],
  wool: ['美利奴羊毛', 'Merino wool'],
  aluminium: ['铝合金', 'Aluminium'],
  abs: ['ABS 外壳', 'ABS shell'],
  pbt: ['PBT 键帽', 'PBT keycaps'],
  soy: ['大豆蜡', 'Soy wax'],
  paper: ['100 克道林纸', '100 g wood-free paper'],
  brass: ['黄铜', 'Brass'],
  resin: ['树脂', 'Resin'],
  terracotta: ['素烧陶', 'Terracotta'],
  fibre: ['高强碰击布', 'Pongee fabric'],
  tea: ['茶叶', 'Tea leaves'],
}

export const origins = {
  jingdezhen: ['江西景德镇', 'Jingdezhen, Jiangxi'],
  yixing: ['江苏宜兴', 'Yixing, Jiangsu'],
  dehua: ['福建德化', 'Dehua, Fujian'],
  yongkang: ['浙江永康', 'Yongkang, Zhejiang'],
  foshan: ['广东佛山', 'Foshan, Guangdong'],
  shenzhen: ['广东深圳', 'Shenzhen, Guangdong'],
  dongguan: ['广东东莞', 'Dongguan, Guangdong'],
  hangzhou: ['浙江杭州', 'Hangzhou, Zhejiang'],
  quanzhou: ['福建泉州', 'Quanzhou, Fujian'],
  nantong: ['江苏南通', 'Nantong, Jiangsu'],
  anji: ['浙江安吉', 'Anji, Zhejiang'],
  wuyi: ['福建武夷山', 'Wuyishan, Fujian'],
  yunnan: ['云南西双版纳', 'Xishuangbanna, Yunnan'],
  ningbo: ['浙江宁波', 'Ningbo, Zhejiang'],
  caoxian: ['山东曹县', 'Cao County, Shandong'],
}

export const care = {
  dishwasher: ['可用洗碗机', 'Dishwasher safe'],
  hand: ['建议手洗', 'Hand wash'],
  rinse: ['清水冲洗，擦干存放', 'Rinse with water and wipe dry'],
  wipe: ['用干布擦拭', 'Wipe with a dry cloth'],
  machine: ['30℃ 机洗', 'Machine wash at 30 °C'],
  spot: ['局部清洁', 'Spot clean'],
  oil: ['每年上一次木蜡油', 'Oil once a year'],
  leather: ['避免暴晒，定期保养皮革', 'Keep out of strong sun; condition the leather'],
  none: ['无需特别保养', 'No special care'],
  dry: ['密封，置于阴凉干燥处', 'Keep sealed, cool and dry'],
  trim: ['每次点燃前修剪烛芯', 'Trim the wick before lighting'],
  water: ['见干浇透', 'Water well once the soil is dry'],
}
