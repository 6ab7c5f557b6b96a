import { Resolver } from 'node:dns/promises'
import { open } from 'node:fs/promises'
import { isIP } from 'node:net'

export interface Address {
  readonly address: string
  /** 4 or 6. */
  readonly family: number
}

/** Where names are looked up; for tests. */
export interface NameSources {
  /** Name servers, as `Resolver.setServers` takes them. Default: those of the host now. */
  readonly servers?: readonly string[]
  /** Default `/etc/hosts`. */
  readonly hostsFile?: string
}

/** A server that is silent is asked three times, all in less than a try has. */
const QUESTIONS = { timeout: 1500, maxTimeout: 2000, tries: 3 }
/** Of the hosts file no more is read. */
const HOSTS_FILE_BYTES = 256 * 1024
/** Of each family; an answer may hold thousands, and each is checked. */
const MAX_ADDRESSES = 32

const LOOPBACK: readonly Address[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

/**
 * All addresses of a name, IPv4 first: those that the hosts file has for it, or those that the name servers have.
 *
 * Not by `getaddrinfo`, which holds one of the few threads of the process for as long as a name server is silent, and cannot be called
 * off: whoever may name a webhook could have all other names, and files, wait. Here each call asks by sockets of its own, and lets go of
 * them at the signal. An address is its own answer, and `localhost` (RFC 6761, 6.3) is the loopback: nobody is asked. A name is asked
 * for as it is written: no search domains.
 *
 * @param hostname Of a `URL`; IPv6 addresses without brackets.
 * @throws {Error} With a `code` of `node:dns`, when there is none or the signal comes first (`ECANCELLED`).
 */
export async function resolveName(
  hostname: string,
  signal: AbortSignal,
  { servers, hostsFile = '/etc/hosts' }: NameSources = {},
): Promise<readonly Address[]> {
  const family = isIP(hostname)
  if (family !== 0) return [{ address: hostname, family }]
  const name = hostname.replace(/\.$/, '').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return LOOPBACK
  const local = hostsOf(name, await readHosts(hostsFile))
  return local.length > 0 ? local : await askServers(hostname, signal, servers)
}

async function askServers(
  hostname: string,
  signal: AbortSignal,
  servers: readonly string[] | undefined,
): Promise<readonly Address[]> {
  // One for each call: what is cancelled is all that it asked, and it reads who is to be asked anew.
  const resolver = new Resolver(QUESTIONS)
  if (servers !== undefined) resolver.setServers(servers)
  const cancel = (): void => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const asked = [resolver.resolve4(hostname), resolver.resolve6(hostname)]
    if (signal.aborted) cancel()
    const answers = await Promise.allSettled(asked)
    const found = answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? addressesOf(answer.value.slice(0, MAX_ADDRESSES)) : [],
    )
    if (found.length > 0) return found
    throw reasonOf(answers)
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

/** Why there is no address of a family; rather not that there is none of this one. */
function reasonOf(answers: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = answers.flatMap((answer): unknown[] =>
    answer.status === 'rejected' ? [answer.reason] : [],
  )
  const isMore = (error: unknown): boolean =>
    error instanceof Error && 'code' in error && error.code !== 'ENODATA'
  return reasons.find(isMore) ?? reasons[0] ?? Object.assign(new Error('no address'), { code: 'ENODATA' })
}

function addressesOf(texts: readonly string[]): readonly Address[] {
  return texts.map((address) => ({ address, family: isIP(address) })).filter(({ family }) => family !== 0)
}

/** @param name Lower case, without a dot at its end. */
function hostsOf(name: string, text: string): readonly Address[] {
  const found = text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/)
    return names.some((one) => one.toLowerCase() === name) ? addressesOf([address]) : []
  })
  return found.toSorted((a, b) => a.family - b.family).slice(0, MAX_ADDRESSES)
}

/** Its whole lines, as far as it is read; nothing where it cannot be. */
async function readHosts(path: string): Promise<string> {
  try {
    await using file = await open(path)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HOSTS_FILE_BYTES), 0, HOSTS_FILE_BYTES, 0)
    const text = buffer.toString('utf8', 0, bytesRead)
    return bytesRead < HOSTS_FILE_BYTES ? text : text.slice(0, text.lastIndexOf('\n') + 1)
  } catch {
    return ''
  }
}
