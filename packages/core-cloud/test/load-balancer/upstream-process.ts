// An instance in a process of its own, to be killed: answers with its name, reads bodies, waits when asked to.
import { createServer } from 'node:http'

const [socketPath = '', name = ''] = process.argv.slice(2)
const body = JSON.stringify({ name, filler: 'x'.repeat(1_000) })
const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.setHeader('content-length', body.length)
    // In two writes: a kill in between must not reach a client as half an answer.
    response.write(body.slice(0, 500))
    setImmediate(() => response.end(body.slice(500)))
  })
})
server.listen(socketPath, () => process.stdout.write('ready\n'))
