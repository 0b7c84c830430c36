// What every call carries: 200 bytes of JSON.
export const item = {
  id: 123_456,
  sku: 'SKU-0001-ABCDEF',
  qty: 3,
  price: 19.99,
  buyer: { id: 'b-42', name: 'Some Buyer' },
  tags: ['a', 'bb', 'ccc'],
  note: 'x'.repeat(65),
}
export const itemBytes = new TextEncoder().encode(JSON.stringify(item))
