// Runs in the buyer's browser and nowhere else: the storefront reads this module's text and serves it. Pages are
// complete without it; it saves reloads. It must not import anything.

const root = document.documentElement
root.classList.add('script')

function all<T extends Element>(selector: string, within: ParentNode = document): T[] {
  return [...within.querySelectorAll<T>(selector)]
}

/** The − and + beside a quantity. */
for (const stepper of all<HTMLElement>('[data-stepper]')) {
  const input = stepper.querySelector('input')
  if (input === null || input.disabled) continue
  const submits = stepper.dataset.submit !== undefined
  let timer = 0
  const changed = (): void => {
    if (!submits) return
    clearTimeout(timer)
    timer = window.setTimeout(() => input.form?.requestSubmit(), 600)
  }
  input.addEventListener('change', changed)
  for (const button of all<HTMLButtonElement>('[data-step]', stepper)) {
    button.hidden = false
    button.addEventListener('click', () => {
      const least = Math.max(1, Number(input.min))
      const next = Number(input.value) + Number(button.dataset.step)
      input.value = String(Math.min(Number(input.max), Math.max(least, next)))
      changed()
    })
  }
}

/** Adds to the cart without leaving the page; any trouble falls back to the plain form. */
for (const form of all<HTMLFormElement>('[data-add-to-cart]')) {
  form.addEventListener('submit', event => {
    event.preventDefault()
    void add(form)
  })
}

async function add(form: HTMLFormElement): Promise<void> {
  const button = form.querySelector<HTMLButtonElement>('button:not([data-step])')
  if (button !== null) button.disabled = true
  try {
    const fields = new URLSearchParams()
    for (const [name, value] of new FormData(form)) if (typeof value === 'string') fields.append(name, value)
    const response = await fetch(form.action, { method: 'POST', headers: { accept: 'application/json' }, body: fields })
    const result = (await response.json()) as {
      readonly ok: boolean
      readonly units?: string
      readonly message?: string
    }
    if (result.units !== undefined) for (const badge of all('[data-cart-units]')) badge.textContent = result.units
    toast(form, result.ok ? (form.dataset.added ?? '') : (result.message ?? ''), result.ok)
  } catch {
    form.submit()
  } finally {
    if (button !== null) button.disabled = false
  }
}

let toastTimer = 0
function toast(form: HTMLFormElement, text: string, good: boolean): void {
  const element = form.querySelector<HTMLElement>('[data-toast]')
  const place = element?.querySelector('[data-toast-text]')
  if (!element || !place) return
  place.textContent = text
  element.classList.toggle('warn', !good)
  element.hidden = false
  clearTimeout(toastTimer)
  toastTimer = window.setTimeout(() => {
    element.hidden = true
  }, 6000)
}

/** Sorting and brand apply at once. */
for (const form of all<HTMLFormElement>('[data-auto-submit]')) {
  form.addEventListener('change', () => form.requestSubmit())
}

/** A second click on "place order" does nothing (the server would find the same order, but the buyer need not wait twice). */
for (const form of all<HTMLFormElement>('[data-once]')) {
  let sent = false
  form.addEventListener('submit', event => {
    if (sent) event.preventDefault()
    sent = true
  })
  // Coming back by the browser's back button shows the old document: it may be sent again.
  window.addEventListener('pageshow', () => {
    sent = false
  })
}

/** Looks at an unpaid order now and then, slower with time, and shows the page anew when its state changes. */
const polled = document.querySelector<HTMLElement>('[data-poll]')
if (polled?.dataset.poll !== undefined) {
  const address = polled.dataset.poll
  let tries = 0
  const look = async (): Promise<void> => {
    if (document.visibilityState === 'visible') {
      tries += 1
      try {
        const response = await fetch(address, { headers: { accept: 'application/json' } })
        const { state } = (await response.json()) as { readonly state?: string }
        if (state !== undefined && state !== polled.dataset.state) {
          location.reload()
          return
        }
      } catch {
        // No connection now: the next look may have one.
      }
    }
    if (tries < 200) window.setTimeout(() => void look(), tries < 20 ? 2500 : 15_000)
  }
  window.setTimeout(() => void look(), 1500)
}

export {}
