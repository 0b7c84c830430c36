import { Socket } from 'node:net'
import { encodeFrame, FrameReader, FrameWriter, type HostFrame, maxFrameBytes, type PackageFrame } from './frames.js'
import { PackageRuntime } from './package-runtime.js'

/**
 * Main module of a package's process. Frames travel over file descriptor 3, a socket to the host; when it closes, the host
 * is gone, and so is this process.
 */
const socket = new Socket({ fd: 3, readable: true, writable: true })
socket.on('close', () => process.exit(0))
socket.on('error', () => process.exit(0))
// A terminal's Ctrl-C and a supervisor's stop reach every process of the group; the host ends this one, after its calls.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
const reader = new FrameReader()
const writer = new FrameWriter(bytes => void socket.write(bytes))

function send(frame: PackageFrame): void {
  let bytes: Buffer
  try {
    bytes = encodeFrame(frame)
    if (bytes.length - 4 > maxFrameBytes) throw new Error(`${bytes.length} bytes are more than ${maxFrameBytes}`)
  } catch (error) {
    // Cycles, bigints, too much: the call fails, not the process.
    if (frame.t !== 'result' && frame.t !== 'state') return
    const message = `the value cannot be sent: ${error instanceof Error ? error.message : String(error)}`
    if (frame.t === 'state') void runtime.take({ t: 'state', id: frame.id, error: { message } })
    else writer.send(encodeFrame({ t: 'error', id: frame.id, error: { message } }))
    return
  }
  writer.send(bytes)
}

const runtime = new PackageRuntime(send)

socket.on('data', (chunk: Buffer) => {
  for (const frame of reader.read(chunk)) {
    void runtime.take(frame as HostFrame).then(end => {
      if (end) process.exit(0)
    })
  }
})

// The host reads /proc where it exists; elsewhere it relies on this report, which a blocked event loop cannot send.
if (process.platform !== 'linux') {
  setInterval(() => send({ t: 'memory', bytes: process.memoryUsage.rss() }), 1_000).unref()
}
