import { CloudError } from '@aaas/core-cloud/kernel'

/** What a connection is for; the names and meanings are those of libpq. */
export type SessionTarget = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

const targets: readonly string[] = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby']

export interface DatabaseHosts {
  /** One connection string a host, in the order given. */
  readonly urls: readonly string[]
  readonly target: SessionTarget
}

const mostHosts = 16

/**
 * Reads a connection string that may name several hosts, which `pg` does not understand:
 * `postgres://user:password@one:5432,two:5433/name?target_session_attrs=read-write`, or for unix sockets
 * `postgres://user:password@localhost/name?host=/run/one,/run/two`. One port counts for all of them.
 * `target_session_attrs` is `any` for one host and `read-write` for several when it is not said.
 * @throws CloudError `core.kernel.invalid-config` with `field` `url`; the text has no password.
 */
export function databaseHosts(url: string): DatabaseHosts {
  const parts = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(url)
  if (parts === null) throw invalid('it must begin with postgres:// and name a host')
  const [, head = '', authority = '', path = '', search = ''] = parts
  const query = new URLSearchParams(search)
  const asked = query.get('target_session_attrs')
  query.delete('target_session_attrs')
  if (asked !== null && !targets.includes(asked)) throw invalid(`target_session_attrs must be one of ${targets.join()}`)
  const ports = (query.get('port') ?? '').split(',')
  const named = query.get('host')
  const hosts = named === null ? authority.split(',') : named.split(',')
  if (hosts.length > mostHosts) throw invalid(`at most ${mostHosts} hosts`)
  if (hosts.length > 1 && hosts.includes('')) throw invalid('a host is empty')
  if (ports.length > 1 && ports.length !== hosts.length) throw invalid('it has more ports or fewer than hosts')
  query.delete('port')
  query.delete('host')
  const urls = hosts.map((host, index) => {
    const own = new URLSearchParams(query)
    const port = ports[index] ?? ports[0] ?? ''
    if (named !== null) own.set('host', host)
    if (port !== '') own.set('port', port)
    // With the host in the query the one in front means nothing, but a URL with a user must have one.
    const place = named === null ? host : (authority.split(',')[0] ?? '') || 'localhost'
    const one = `${head}${place}${path}${own.size === 0 ? '' : `?${own}`}`
    if (!URL.canParse(one)) throw invalid(`host ${index + 1} or its port is malformed`)
    return one
  })
  return { urls, target: (asked as SessionTarget | null) ?? (urls.length > 1 ? 'read-write' : 'any') }
}

/** The same place with another database, role or options, whatever the number of hosts. */
export function changedUrl(
  url: string,
  change: {
    readonly name?: string
    readonly role?: string
    readonly password?: string
    readonly options?: string
    readonly target?: SessionTarget
    /** Hosts or socket folders, parted by commas. */
    readonly host?: string
  },
): string {
  const parts = /^(postgres(?:ql)?:\/\/)(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(url)
  if (parts === null) throw invalid('it must begin with postgres:// and name a host')
  const [, scheme = '', credentials = '', authority = '', path = '', search = ''] = parts
  const [role = '', password = ''] = credentials.split(':')
  const query = new URLSearchParams(search)
  if (change.options !== undefined) query.set('options', change.options)
  if (change.target !== undefined) query.set('target_session_attrs', change.target)
  if (change.host !== undefined) query.set('host', change.host)
  const user = change.role === undefined ? role : encodeURIComponent(change.role)
  const secret = change.password === undefined ? password : encodeURIComponent(change.password)
  const who = user === '' ? '' : `${user}${secret === '' ? '' : `:${secret}`}@`
  const name = change.name === undefined ? path : `/${encodeURIComponent(change.name)}`
  return `${scheme}${who}${authority}${name}${query.size === 0 ? '' : `?${query}`}`
}

function invalid(reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `the connection string is wrong: ${reason}`, { field: 'url' })
}
