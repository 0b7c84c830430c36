import { CloudError } from '../../kernel/errors.js'

export type Libp2pModules = Awaited<ReturnType<typeof importAll>>

/**
 * Loads libp2p, which is an optional peer dependency. Nothing else in the package imports it other than by type.
 * @throws CloudError `core.kernel.invalid-config` naming what is not installed.
 */
export async function loadLibp2p(): Promise<Libp2pModules> {
  provideWithResolvers()
  try {
    return await importAll()
  } catch (cause) {
    const text = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new CloudError('core.kernel.invalid-config', `the network libp2p cannot be loaded: ${text}`, {
      field: 'network',
      cause,
    })
  }
}

async function importAll() {
  const [{ createLibp2p }, { tcp }, { noise }, { yamux }, { identify }, { gossipsub }, keys, addresses] =
    await Promise.all([
      import('libp2p'),
      import('@libp2p/tcp'),
      import('@libp2p/noise'),
      import('@libp2p/yamux'),
      import('@libp2p/identify'),
      import('@libp2p/gossipsub'),
      import('@libp2p/crypto/keys'),
      import('@multiformats/multiaddr'),
    ])
  return {
    createLibp2p,
    tcp,
    noise,
    yamux,
    identify,
    gossipsub,
    generateKeyPairFromSeed: keys.generateKeyPairFromSeed,
    multiaddr: addresses.multiaddr,
  }
}

/** What libp2p's queues call at the first connection and Node 20 does not have (ECMAScript 2024). */
function provideWithResolvers(): void {
  if ('withResolvers' in Promise) return
  Object.defineProperty(Promise, 'withResolvers', {
    configurable: true,
    writable: true,
    value: function withResolvers(this: PromiseConstructor) {
      let resolve: unknown
      let reject: unknown
      const promise = new this((onResolve, onReject) => {
        resolve = onResolve
        reject = onReject
      })
      return { promise, resolve, reject }
    },
  })
}
