/** Addresses of documentation networks (RFC 5737): nothing outside of the lab ever has them. */
export const HOST = '203.0.113.1'
/** An address of the host on an interface without carrier. */
export const HOST_WITHOUT_CARRIER = '203.0.113.129'
export const WEB = '198.51.100.10'
export const NAME_SERVER = '198.51.100.53'
export const METADATA = '169.254.169.254'
/** A group that the host and the world listen to. */
export const GROUP = '239.1.2.3'
export const PORTS = { web: 80, control: 7400, loopback: 7401, datagrams: 7402 } as const
