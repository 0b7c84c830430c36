const taken = []
let timer

export const cloudware = {
  name: 'eats-memory',
  start({ register }) {
    register('pricing.quote@1', input => {
      // Buffers live outside the heap; filling them makes the pages resident.
      timer ??= setInterval(() => taken.push(Buffer.alloc(4 * 1024 * 1024, 1)), 10)
      return input
    })
  },
}
