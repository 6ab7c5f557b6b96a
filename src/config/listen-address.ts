import { isIPv4, isIPv6 } from 'node:net'

/** Where the server listens. */
export interface ListenAddress {
  /** A host name or an address, IPv6 without brackets. */
  readonly host: string
  /** 0 … 65 535; 0 lets the system choose. */
  readonly port: number
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i

/** Reads `HOST:PORT`, with `[…]` around an IPv6 address; undefined when it is neither. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const colon = text.lastIndexOf(':')
  const portText = text.slice(colon + 1)
  if (colon === -1 || !/^\d{1,5}$/.test(portText) || Number(portText) > 65_535) return undefined
  const port = Number(portText)
  const host = text.slice(0, colon)
  if (host.startsWith('[') && host.endsWith(']')) {
    const address = host.slice(1, -1)
    return isIPv6(address) ? { host: address, port } : undefined
  }
  // 1.2.3.400 would pass as a host name, and be looked up.
  const looksNumeric = /^[\d.]+$/.test(host)
  return (looksNumeric ? isIPv4(host) : HOST_NAME.test(host)) ? { host, port } : undefined
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
