import { CloudError } from '../../kernel/errors.js'
import type { Streams } from '../stream.js'
import { JetStreams } from './jet-streams.js'
import { NatsLink } from './nats-link.js'
import type { NatsStreamsOptions } from './nats-options.js'

/**
 * Streams and buckets on JetStream, from nats-server 2.9 on. One connection of its own, which comes back by itself.
 *
 * What the durabilities are here:
 * - `relaxed`: one copy in a file. An acknowledged message is in the server's file, which the operating system writes to
 *   the disk when it likes (the server asks it to every two minutes): it survives the end of the server's process, and
 *   not always a loss of power.
 * - `replicated`: three copies on three servers, acknowledged when two have it. None of them has synced it when it is
 *   acknowledged: when the machines of two copies lose power at once, acknowledged messages can be lost
 *   (nats-server issue 7564).
 * - `synced`: one copy, and `assumeSynced` says that the servers sync each message before they acknowledge it.
 *
 * Beyond the port:
 * - A message that was sent and whose acknowledgement the broken connection took is sent again when it has a
 *   `messageId`, else the call fails with `core.bus.disconnected`: whether it is stored is unknown.
 * - A message is at most the server's `max_payload` with its headers (1 MiB unless configured).
 * - Of a filter with one pattern the server sends only what matches; with more, the member drops the others, which
 *   count as pending until then.
 * - A message that a draining member gives back counts as delivered once more. A member fetches what it can handle in a
 *   second and within a quarter of `ackWaitMs`.
 * - Dead letters are at most 1_000_000 and 256 MiB of a stream; beyond, messages stay where they are and are tried
 *   again every thirty seconds.
 * - A message for later is put into its stream by one of the connected programs. When that one is killed, what is due is
 *   up to six seconds late. Its id keeps it from entering twice only as long as the stream's `dedupMs` reaches.
 * - The server's own limits (`max_file`, those of the account) count first: `core.bus.stream-full`.
 * - Names that begin with `KV_`, `OBJ_` or `_aaas-` are refused: buckets and our own streams have them.
 *
 * @throws CloudError as `natsBus`.
 */
export async function natsStreams(options: NatsStreamsOptions): Promise<Streams> {
  const logger = options.logger.child({ component: 'streams' })
  const prefix = options.apiPrefix ?? '$JS.API'
  if (!/^\$JS(\.[A-Za-z0-9_-]+)?\.API$/.test(prefix))
    throw new CloudError('core.kernel.invalid-config', 'nats: apiPrefix is $JS.API or $JS.<domain>.API', {
      field: 'apiPrefix',
    })
  const link = await NatsLink.open({ ...options, logger })
  return new JetStreams({ ...options, logger }, link, prefix)
}
