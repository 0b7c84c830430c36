export const cloudware = {
  name: 'throws-closed',
  start({ register }) {
    register('order.place@1', () => {
      throw new Error('this check always fails')
    })
  },
}
