import { beijingTime, minorToDecimal } from '@aaas/access-cloud/payment'
import { type Html, html } from './html.js'
import type { TradeRow } from './trade-records.js'

export type Language = 'zh' | 'en'

const texts = {
  zh: {
    title: '收银台（模拟）',
    banner: '模拟支付 · 不会产生任何真实扣款',
    payTo: '付款给',
    order: '订单号',
    until: '付款截止',
    pay: '确认付款',
    cancel: '取消并返回商家',
    other: 'English',
    paid: '支付成功',
    paidNote: '您可以关闭此页面，返回商家查看订单。',
    closed: '交易已关闭',
    closedNote: '该订单已超时或被商家关闭，无法付款。没有发生扣款。',
    missing: '找不到这笔交易',
    missingNote: '链接不完整或已失效，请返回商家重新付款。',
    refused: '无法打开收银台',
    back: '返回商家',
    footer: '本页面由平台的支付模拟器提供，仅用于开发与演示，与任何支付机构无关。',
  },
  en: {
    title: 'Cashier (simulated)',
    banner: 'Simulated payment · no real money moves',
    payTo: 'Pay to',
    order: 'Order number',
    until: 'Pay before',
    pay: 'Pay now',
    cancel: 'Cancel and go back to the shop',
    other: '中文',
    paid: 'Payment successful',
    paidNote: 'You can close this page and look at your order in the shop.',
    closed: 'This trade is closed',
    closedNote: 'It expired or was closed by the shop and cannot be paid. Nothing was charged.',
    missing: 'No such trade',
    missingNote: 'The link is incomplete or no longer valid. Please go back to the shop and pay again.',
    refused: 'The cashier cannot be opened',
    back: 'Back to the shop',
    footer: 'Payment simulator for development and demonstration; not connected with any payment company.',
  },
} as const

export interface PageSettings {
  readonly language: Language
  /** Path below which the simulator is reached, without a trailing slash; empty at the root. */
  readonly prefix: string
}

/** The page where the buyer pays: works without JavaScript, phone first. */
export function cashierPage(trade: TradeRow, merchantName: string, settings: PageSettings): Html {
  const text = texts[settings.language]
  const self = `${settings.prefix}/alipay/cashier/${trade.token}`
  const open = trade.status === 'WAIT_BUYER_PAY' || trade.status === 'OPENED'
  const state = trade.paid_at !== null ? ('paid' as const) : ('closed' as const)
  const body = open
    ? html`<p class="to">${text.payTo} <b>${merchantName}</b></p>
      ${amountOf(trade)}
      <p class="subject">${trade.subject}</p>
      <dl><dt>${text.order}</dt><dd>${trade.out_trade_no}</dd>
      <dt>${text.until}</dt><dd>${beijingTime(trade.expires_at)} UTC+8</dd></dl>
      <form method="post" action="${self}/pay">
      <button class="pay" type="submit">${text.pay} ¥${minorToDecimal(trade.amount)}</button></form>
      <form method="post" action="${self}/cancel">
      <button class="cancel" type="submit">${text.cancel}</button></form>`
    : html`<p class="mark ${state}" aria-hidden="true">${state === 'paid' ? '✓' : '×'}</p>
      <h1>${text[state]}</h1>${amountOf(trade)}
      <p class="subject">${trade.subject}</p><p class="note">${text[`${state}Note`]}</p>
      ${backLink(trade.return_url, text.back)}`
  const other = settings.language === 'zh' ? 'en' : 'zh'
  return frame(settings, { title: text.title, switchTo: `${self}?lang=${other}`, body })
}

/** A page for everything that is not a trade: unknown links, requests that the gateway refuses. */
export function problemPage(
  problem: { readonly kind: 'missing' } | { readonly kind: 'refused'; readonly code: string; readonly message: string },
  settings: PageSettings,
): Html {
  const text = texts[settings.language]
  const note = problem.kind === 'missing' ? text.missingNote : `${problem.code} · ${problem.message}`
  const body = html`<p class="mark closed" aria-hidden="true">×</p>
    <h1>${text[problem.kind]}</h1><p class="note">${note}</p>`
  return frame(settings, { title: text.title, body })
}

function amountOf(trade: TradeRow): Html {
  const [yuan, fen] = minorToDecimal(trade.amount).split('.')
  return html`<p class="amount"><span>¥</span>${yuan}<small>.${fen}</small></p>`
}

function backLink(url: string | null, label: string): Html {
  return url === null ? html`` : html`<a class="back" href="${url}">${label}</a>`
}

function frame(
  settings: PageSettings,
  page: { readonly title: string; readonly switchTo?: string; readonly body: Html },
): Html {
  const text = texts[settings.language]
  const language = settings.language === 'zh' ? 'zh-CN' : 'en'
  const link =
    page.switchTo === undefined ? html`` : html`<a class="language" href="${page.switchTo}">${text.other}</a>`
  return html`<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>${page.title}</title>
<link rel="stylesheet" href="${settings.prefix}/alipay/cashier.css"></head>
<body><p class="banner" role="note">${text.banner}</p>
<header><span class="logo" aria-hidden="true">S</span><b>${page.title}</b>${link}</header>
<main>${page.body}</main><footer>${text.footer}</footer></body></html>`
}

export const cashierStyle = `:root{--blue:#1668dc;--ink:#1f2329;--soft:#646a73;--line:#e5e6eb;color-scheme:light}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:flex;flex-direction:column;background:#f2f4f8;color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
.banner{margin:0;padding:10px 16px;background:repeating-linear-gradient(135deg,#fff3d6 0 14px,#ffe9b8 14px 28px);
color:#7a4b00;font-weight:600;text-align:center;border-bottom:1px solid #f0cf86}
header{display:flex;align-items:center;gap:10px;padding:14px 20px;background:#fff;border-bottom:1px solid var(--line)}
.logo{display:grid;place-items:center;width:30px;height:30px;border-radius:8px;background:var(--blue);color:#fff;font-weight:700}
.language{margin-left:auto;color:var(--blue);text-decoration:none;padding:6px 4px}
main{width:min(440px,100% - 32px);margin:24px auto;padding:28px 24px;background:#fff;border-radius:16px;
box-shadow:0 6px 24px rgb(31 35 41/.08);text-align:center}
h1{font-size:20px;margin:8px 0}
.to{margin:0;color:var(--soft)}
.to b{color:var(--ink)}
.amount{margin:10px 0 4px;font-size:46px;line-height:1.1;font-weight:700;font-variant-numeric:tabular-nums}
.amount span{font-size:26px;margin-right:4px;font-weight:600}
.amount small{font-size:26px}
.subject{margin:0 0 20px;color:var(--soft);overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:8px 16px;margin:0 0 24px;padding:16px 0 0;border-top:1px solid var(--line);
font-size:14px;text-align:left}
dt{color:var(--soft)}
dd{margin:0;text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
button,.back{display:block;width:100%;min-height:50px;border:0;border-radius:12px;font:inherit;font-weight:600;cursor:pointer}
.pay{background:var(--blue);color:#fff;font-size:18px}
.pay:hover{background:#0f55b8}
.cancel{margin-top:10px;background:transparent;color:var(--soft);font-weight:500}
.cancel:hover{background:#f2f4f8}
.back{margin-top:16px;background:#eaf2fe;color:var(--blue);line-height:50px;text-decoration:none}
button:focus-visible,a:focus-visible{outline:3px solid #8bb8f6;outline-offset:2px}
.mark{display:grid;place-items:center;width:64px;height:64px;margin:0 auto 8px;border-radius:50%;color:#fff;font-size:34px;line-height:1}
.mark.paid{background:#1f9d57}
.mark.closed{background:#8f959e}
.note{color:var(--soft);margin:0;overflow-wrap:anywhere}
footer{margin:auto auto 0;padding:16px 24px 24px;max-width:520px;color:#6b7280;font-size:12px;text-align:center}
`
