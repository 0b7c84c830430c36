// etcd's own protocol, as little of it as two calls need: gRPC over node:http2, messages written by hand.
import { connect } from 'node:http2'

/** @returns the unary calls of a server on one HTTP/2 connection. */
export function grpcCaller(port) {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => undefined)
  const call = (path, message) =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      const parts = []
      let status
      stream.on('response', headers => {
        status = headers['grpc-status']
      })
      stream.on('trailers', headers => {
        status = headers['grpc-status']
      })
      stream.on('data', part => parts.push(part))
      stream.on('error', reject)
      stream.on('end', () => {
        if (status !== '0') reject(new Error(`gRPC status ${status}`))
        else resolve(Buffer.concat(parts))
      })
      const head = Buffer.alloc(5)
      head.writeUInt32BE(message.length, 1)
      stream.end(Buffer.concat([head, message]))
    })
  return {
    put: (key, value) => call('/etcdserverpb.KV/Put', Buffer.concat([field(1, key), field(2, value)])),
    get: key => call('/etcdserverpb.KV/Range', field(1, key)),
    close: () => session.destroy(),
  }
}

/** A field of bytes of Protocol Buffers. */
function field(number, bytes) {
  const length = bytes.length < 128 ? Buffer.of(bytes.length) : Buffer.of((bytes.length & 127) | 128, bytes.length >> 7)
  return Buffer.concat([Buffer.of((number << 3) | 2), length, bytes])
}
