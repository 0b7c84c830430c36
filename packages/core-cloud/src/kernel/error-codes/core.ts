import type { ErrorCodeTable } from './entry.js'

/** Codes thrown by layer 0. */
export const coreErrorCodes = {
  'core.kernel.internal': {
    status: 500,
    text: 'Something failed that should not; the log of the instance has the cause.',
  },
  'core.kernel.invalid-config': { status: 400, text: 'A configuration value is missing or wrong; `field` names it.' },
  'core.kernel.stopped': { status: 503, retryable: true, text: 'The component is stopping or stopped.' },
  'core.kernel.data-too-new': {
    status: 409,
    text: 'The data directory was written by a newer version of the platform.',
  },
  'core.kernel.not-writable': { status: 500, text: 'A directory the platform needs cannot be written.' },
  'core.contract.invalid-input': { status: 400, text: 'The input does not fit the schema; `field` names the place.' },
  'core.contract.invalid-output': { status: 500, text: 'A handler answered something its contract does not allow.' },
  'core.contract.unknown-method': { status: 404, text: 'No such contract or method at this place.' },
  'core.contract.deadline-exceeded': {
    status: 504,
    retryable: true,
    text: 'The call did not finish before its deadline.',
  },
  'core.contract.cancelled': { status: 499, text: 'The caller cancelled the call.' },
  'core.contract.unauthenticated': { status: 401, text: 'No valid credentials came with the call.' },
  'core.contract.forbidden': { status: 403, text: 'The caller lacks the scope the method requires.' },
  'core.contract.payload-too-large': { status: 413, text: 'The message is larger than the limit.' },
  'core.contract.rate-limited': {
    status: 429,
    retryable: true,
    text: 'Too many calls; try again after the given time.',
  },
  'core.contract.method-not-allowed': {
    status: 405,
    text: 'The path is known, but not with this verb; the header Allow lists the others.',
  },
  'core.contract.unsupported-media-type': { status: 415, text: 'The body is not JSON in UTF-8.' },
  'core.contract.unavailable': { status: 503, retryable: true, text: 'The other side cannot be reached over HTTP.' },
  'core.contract.remote-error': { status: 502, text: 'The other side failed with a code this version does not know.' },
  'core.bus.invalid-subject': { status: 400, text: 'A subject has an empty token or a character that is not allowed.' },
  'core.bus.no-responder': { status: 503, retryable: true, text: 'Nobody serves this subject now.' },
  'core.bus.disconnected': { status: 503, retryable: true, text: 'The connection to the bus is down.' },
  'core.bus.refused': { status: 403, text: 'The bus refused the connection or the subject for these credentials.' },
  'core.bus.overloaded': { status: 503, retryable: true, text: 'A queue of the bus is full.' },
  'core.bus.unknown-stream': { status: 404, text: 'No such stream, or no stream has the subject.' },
  'core.bus.conflict': {
    status: 409,
    text: 'The stream, subject or key is not in the state that the call expects.',
  },
  'core.bus.stream-full': { status: 507, text: 'The stream or bucket is at its limit and refuses new messages.' },
  'core.bus.unsupported': {
    status: 501,
    text: 'This driver or server cannot do what was asked; the message says what.',
  },
  'core.bus.quota-exceeded': {
    status: 429,
    retryable: true,
    text: 'The tenant is over its quota of messages, bytes, subscriptions, stream bytes or calls in flight.',
  },
  'core.bus.bad-signature': { status: 401, text: 'What says who calls was changed, is too old, or is not trusted.' },
  'core.bus.corrupt': {
    status: 500,
    text: 'A stored or received message is damaged; the message says where and what to do.',
  },
  'core.contract.version-mismatch': {
    status: 409,
    text: 'No instance serves a version of the contract that this caller understands.',
  },
  'core.contract.flow-violation': {
    status: 502,
    text: 'The other end of a stream sent more than it was allowed to, or out of turn.',
  },
  'core.contract.stream-lost': {
    status: 503,
    text: 'The other end of a stream is gone or was silent for too long; what came before it is valid.',
  },
  'core.ha.bad-message': { status: 400, text: 'Bytes between members of a group are no message.' },
  'core.ha.invalid-membership': { status: 400, text: 'The change of members is impossible; `field` and text say why.' },
  'core.cloudware.invalid-manifest': {
    status: 400,
    text: 'The manifest does not fit its schema; `field` names the place.',
  },
  'core.cloudware.invalid-package': { status: 400, text: 'The archive is not a valid package.' },
  'core.cloudware.bad-signature': {
    status: 400,
    text: 'The package was changed after signing, or the signer is not trusted.',
  },
  'core.cloudware.conflict': { status: 409, text: 'Two packages need different versions of the same package.' },
  'core.cloudware.missing-requirement': { status: 409, text: 'The package needs a capability that nobody provides.' },
  'core.cloudware.hook-failed': { status: 502, text: 'A cloudware handler failed and its failure mode is closed.' },
  'core.cloudware.vetoed': { status: 422, text: 'A cloudware refused the operation; the message is its own.' },
  'core.cloudware.invalid-state': { status: 400, text: 'A key or value of a package state is outside its limits.' },
  'core.cloudware.state-unavailable': {
    status: 503,
    retryable: true,
    text: 'The program keeps no state for packages now.',
  },
  'core.load-balancer.unknown-site': { status: 404, text: 'No site answers for this host name or path.' },
  'core.load-balancer.maintenance': { status: 503, retryable: true, text: 'The site is being maintained.' },
  'core.load-balancer.overloaded': {
    status: 503,
    retryable: true,
    text: 'Every instance of the site has as many requests as it may.',
  },
  'core.load-balancer.no-instance': {
    status: 503,
    retryable: true,
    text: 'No instance of the site can be reached now.',
  },
  'core.load-balancer.instance-failed': {
    status: 502,
    text: 'The instance died or answered nonsense; the request may have had its effect.',
  },
  'core.load-balancer.instance-timeout': {
    status: 504,
    text: 'The instance did not answer in time; the request may have had its effect.',
  },
  'core.load-balancer.not-supported': { status: 501, text: 'The edge does not carry this kind of request.' },
  'core.deploy.unhealthy': { status: 409, text: 'The new version never became healthy; the old one goes on.' },
  'core.deploy.release-failed': { status: 409, text: 'The release step of a version failed; the old version goes on.' },
  'core.deploy.unknown-site': { status: 404, text: 'No such site on this host.' },
  'core.deploy.port-in-use': { status: 409, text: 'Another program listens on the port.' },
  'core.deploy.already-running': { status: 409, text: 'A platform already runs on this data directory.' },
} as const satisfies ErrorCodeTable
