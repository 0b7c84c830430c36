export const cloudware = {
  name: 'throws',
  start({ register }) {
    register('pricing.quote@1', () => {
      throw new Error('this rule always fails')
    })
  },
}
