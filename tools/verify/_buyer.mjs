// A buyer without JavaScript, and what the simulator of the payment provider can be told.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './_platform.mjs'

/** Waits until an order is in a state. */
export const untilState = (platform, number, state, seconds = 30) =>
  until(
    `order ${number} to be ${state}`,
    async () => (await platform.call('shop', 'business.order', 'get', { number })).state === state,
    seconds,
  )

/** Goes from the shop's payment to the provider's cashier. @returns the cashier page's address and HTML. */
export async function cashier(platform, number) {
  const { redirectUrl } = await platform.call('shop', 'business.payment', 'start', {
    number,
    returnUrl: `http://127.0.0.1:${platform.edgePort}/s/shop/en/`,
  })
  let url = redirectUrl
  let answer = await fetch(url, { redirect: 'manual' })
  for (let hop = 0; answer.status >= 300 && answer.status < 400 && hop < 5; hop++) {
    url = new URL(answer.headers.get('location'), url).href
    answer = await fetch(url, { redirect: 'manual' })
  }
  return { url, html: await answer.text() }
}

/** Sends the form of the cashier page that ends in `/pay`. */
export async function submitPayment({ url, html }) {
  const form = /<form[^>]*action="([^"]+\/pay)"[^>]*>([\s\S]*?)<\/form>/.exec(html)
  if (form === null) throw new Error(`no form to pay on the cashier page: ${html.slice(0, 300)}`)
  const fields = new URLSearchParams()
  for (const [tag] of form[2].matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(tag)?.[1]
    if (name !== undefined) fields.set(name, /value="([^"]*)"/.exec(tag)?.[1] ?? '')
  }
  return fetch(new URL(form[1].replaceAll('&amp;', '&'), url), { method: 'POST', body: fields, redirect: 'manual' })
}

export const pay = async (platform, number) => submitPayment(await cashier(platform, number))

/** The simulator's administration: fault plans and what trades it has. */
export function simulator(platform) {
  const keys = JSON.parse(readFileSync(join(platform.home, 'secrets/payment-keys.json'), 'utf8'))
  const base = `http://127.0.0.1:${platform.edgePort}/s/simulator/alipay/admin`
  const headers = { authorization: `Bearer ${keys.adminKey}`, 'content-type': 'application/json' }
  const checked = async answer => {
    if (!answer.ok) throw new Error(`simulator: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  return {
    plan: async notify =>
      checked(
        await fetch(`${base}/faults`, {
          method: 'PUT',
          headers,
          body: JSON.stringify({ appId: keys.appId, plan: { notify } }),
        }),
      ),
    clear: async () => checked(await fetch(`${base}/faults?appId=${keys.appId}`, { method: 'DELETE', headers })),
    trades: async () =>
      (await checked(await fetch(`${base}/trades?appId=${keys.appId}&limit=200`, { headers }))).trades,
  }
}
