export const cloudware = {
  name: 'hangs',
  start({ register }) {
    register('pricing.quote@1', () => {
      for (;;);
    })
  },
}
