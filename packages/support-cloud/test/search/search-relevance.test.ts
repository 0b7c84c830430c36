import { test } from 'tap'
import { sqliteSearchIndex } from '../../src/search/index.js'

// A small shop as people write it: names in both languages, brands, descriptions that mention other things.
const shop: readonly (readonly [id: string, zh: string, en: string, description: string])[] = [
  [
    'kettle',
    '美的 不锈钢电热水壶 1.7L',
    'Midea stainless steel electric kettle 1.7 L',
    '快速烧水，自动断电。Boils fast and switches off.',
  ],
  [
    'bottle',
    '膳魔师 保温杯 500ml',
    'Thermos vacuum flask 500 ml',
    '保温水壶之选，办公室与旅行。A flask for the office.',
  ],
  ['teapot', '紫砂茶壶', 'Clay teapot', '配茶杯两只。Comes with two cups.'],
  ['green-tea', '西湖龙井 绿茶 礼盒', 'Longjing green tea gift box', '明前采摘。Picked in spring.'],
  ['black-tea', '正山小种 红茶', 'Lapsang black tea', '烟熏香气，与绿茶不同。Smoky, unlike green tea.'],
  ['iphone-case', 'iPhone 15 Pro 手机保护壳 防摔', 'Shockproof case for iPhone 15 Pro', '硅胶材质。Silicone.'],
  ['huawei-case', '华为 Mate 60 手机保护壳', 'Case for Huawei Mate 60', '超薄。Thin.'],
  ['huawei-phone', '华为 Mate 60 Pro 手机', 'Huawei Mate 60 Pro phone', '送保护壳。A case is in the box.'],
  ['screen-film', 'iPhone 15 钢化膜', 'Tempered glass for iPhone 15', '高清防指纹。No fingerprints.'],
  ['charger', 'Anker 65W USB-C 充电器', 'Anker 65W USB-C charger', '支持手机和笔记本电脑。For phones and laptops.'],
  ['laptop', '联想 笔记本电脑 14 英寸', 'Lenovo laptop, 14 inch', '含充电器。Charger included.'],
  ['notebook', '横线笔记本 A5', 'Ruled notebook A5', '适合学生。For students.'],
  ['down-jacket', '波司登 女士羽绒服 中长款', "Bosideng women's down jacket", '轻暖。Light and warm.'],
  ['t-shirt', '男士纯棉T恤', "Men's cotton T-shirt", '夏季短袖。For summer.'],
  ['running-shoes', '李宁 跑步鞋 男', "Li-Ning men's running shoes", '透气网面。Breathable mesh.'],
  ['leather-shoes', '真皮商务皮鞋', 'Leather business shoes', '适合正装。With a suit.'],
  ['desk-lamp', '护眼台灯', 'Desk lamp, easy on the eyes', '学生学习用，三档亮度。Three levels of light.'],
  // 华 and 为, and 羽 and 服, but neither 华为 nor 羽绒服.
  ['mooncake', '中华老字号月饼', 'Mooncakes', '可作为礼品。盒上绘羽毛，服务周到。Fine as a gift.'],
  // The pair 北京 stands across two words of the second.
  ['candied-fruit', '老北京特产 果脯大礼盒', 'Beijing candied fruit', '甜而不腻。Sweet.'],
  ['opera-mask', '东北京剧脸谱', 'Mask', '手绘。Painted.'],
  ['rice-cooker', '苏泊尔 电饭煲 4L', 'Supor rice cooker 4 L', '一键煮饭。One button.'],
]

/** The best hit (`*`: they are equally good), and the others that must be there. */
const cases: readonly (readonly [text: string, best: string, ...others: string[]])[] = [
  ['水壶', 'kettle', 'bottle'],
  ['电热水壶', 'kettle'],
  ['保温', 'bottle'],
  ['茶', '*', 'teapot', 'green-tea', 'black-tea'],
  ['绿茶', 'green-tea', 'black-tea'],
  ['华为', 'huawei-case', 'huawei-phone'],
  ['华为手机', '*', 'huawei-phone', 'huawei-case'],
  ['保护壳', '*', 'iphone-case', 'huawei-case', 'huawei-phone'],
  ['iPhone 保护壳', 'iphone-case'],
  ['iphone15', 'screen-film', 'iphone-case'],
  ['华为保护壳', 'huawei-case', 'huawei-phone'],
  ['羽绒服', 'down-jacket'],
  ['波司登', 'down-jacket'],
  ['北京', 'candied-fruit', 'opera-mask'],
  ['T恤', 't-shirt'],
  ['皮鞋', 'leather-shoes'],
  ['鞋', '*', 'leather-shoes', 'running-shoes'],
  ['笔记本', 'notebook', 'laptop', 'charger'],
  ['笔记本电脑', 'laptop', 'charger'],
  ['充电器', 'charger', 'laptop'],
  ['usbc charger', 'charger'],
  ['kettles', 'kettle'],
  ['green tea', 'green-tea', 'black-tea'],
  ['case', 'huawei-case', 'iphone-case', 'huawei-phone'],
  ['laptops', 'laptop', 'charger'],
  ['men shoes', 'running-shoes'],
  ["women's jacket", 'down-jacket'],
  ['shirt', 't-shirt'],
  ['char', 'charger', 'laptop'],
  ['1.7l', 'kettle'],
  ['65w', 'charger'],
  ['Ａｎｋｅｒ', 'charger'],
]

test('people find what they mean first', async t => {
  await using index = sqliteSearchIndex({ file: ':memory:', fields: { texts: { name: 10, description: 1 } } })
  await index.put(shop.map(([id, zh, en, description]) => ({ id, texts: { name: `${zh}\n${en}`, description } })))
  for (const [text, best, ...others] of cases) {
    const hits = (await index.search({ text })).hits.map(hit => hit.id)
    if (best !== '*') t.equal(hits[0], best, `${text}: ${hits.join(' ')}`)
    t.same(hits.filter(id => id !== best).sort(), [...others].sort(), text)
  }
})

test('every pair of neighbouring characters of a name finds it', async t => {
  await using index = sqliteSearchIndex({ file: ':memory:', fields: { texts: { name: 1 } } })
  await index.put(shop.map(([id, zh]) => ({ id, texts: { name: zh } })))
  for (const [id, zh] of shop) {
    for (const [run] of zh.matchAll(/\p{Script=Han}{2,}/gu)) {
      for (let at = 0; at + 2 <= run.length; at++) {
        const text = run.slice(at, at + 2)
        t.ok(
          (await index.search({ text })).hits.some(hit => hit.id === id),
          `${text} finds ${id}`,
        )
      }
    }
  }
})
