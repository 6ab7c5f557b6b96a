import { closeSync, openSync } from 'node:fs'
import { asRoot, installCommand } from '../remedies.ts'
import type { GuardFinding, NetworkPolicy, Sandbox } from '../sandbox.ts'

/** What the setting names: one policy for all functions, or the best that works and keeps them apart from the host. */
export type NetworkSetting = 'auto' | NetworkPolicy

export interface ChosenNetwork {
  /** What functions get that do not want less. */
  readonly policy: NetworkPolicy
  /** What that means here, and why it is not more, for the operator. */
  readonly detail: string
}

/** The policy that was asked for does not work here; the message says what to do. */
export class NetworkUnavailable extends Error {
  override readonly name = 'NetworkUnavailable'
}

const DETAILS: Record<NetworkPolicy, string> = {
  none: 'functions reach nothing but themselves.',
  egress:
    'functions reach out, but neither this host nor the addresses at which clouds give out credentials.',
  host: 'functions share the network of the host, with everything that listens on its loopback.',
}

/** What has to be known of the command, which can be typed with it. */
const UNTIL_BOOT =
  'until the next boot; to last: the line KERNEL=="tun", MODE="0666", OPTIONS+="static_node=net/tun" in /etc/udev/rules.d/90-tun.rules'

const LAUNCHERS = ['slirp4netns', 'iproute2', 'util-linux']

/**
 * Finds the network that functions get, by really attaching one to a process.
 *
 * @param setting `auto` takes `egress` where it works, else `none`; in a driver without namespaces there is `host` alone.
 * @throws {NetworkUnavailable} when the policy that was asked for cannot be kept here.
 */
export async function chooseNetwork(setting: NetworkSetting, sandbox: Sandbox): Promise<ChosenNetwork> {
  if (sandbox.name === 'process') {
    if (setting !== 'auto' && setting !== 'host')
      throw new NetworkUnavailable(
        `The ${sandbox.name} sandbox has no networks of its own: functions use that of the host. ` +
          'Make the bwrap sandbox work (`anvoke doctor`), or choose --network host.',
      )
    return { policy: 'host', detail: DETAILS.host }
  }
  if (setting === 'none' || setting === 'host') return { policy: setting, detail: DETAILS[setting] }
  const failure = await tryEgress(sandbox)
  if (failure === undefined) return { policy: 'egress', detail: DETAILS.egress }
  const why = [failure, adviceFor(failure)].filter((part) => part !== undefined).join(' ')
  if (setting === 'egress')
    throw new NetworkUnavailable(`A way out of the sandbox does not work here: ${why}`)
  return { policy: 'none', detail: `${DETAILS.none} A way out does not work here: ${why}` }
}

/** Tells of the way out of a driver with namespaces, as a guard that it has. */
export async function egressGuard(sandbox: Sandbox): Promise<GuardFinding> {
  const name = 'network'
  const failure = await tryEgress(sandbox)
  if (failure === undefined) return { name, works: true, detail: DETAILS.egress }
  const fix = adviceFor(failure)
  const detail = `${DETAILS.none} A way out does not work here: ${failure}`
  return { name, works: false, detail, ...(fix === undefined ? {} : { fix }) }
}

/** @returns Why a way out could not be made, undefined when it could. */
async function tryEgress(sandbox: Sandbox): Promise<string | undefined> {
  const ticketsFd = openSync('/dev/null', 'r')
  const trial = sandbox.start({
    functionId: 'probe',
    // Waits on its channel until it is ended.
    command: ['/bin/sh', '-c', 'read line <&3'],
    mounts: [],
    environment: {},
    workDir: '/tmp',
    memoryMib: 64,
    diskMib: 1,
    network: 'egress',
    ticketsFd,
  })
  try {
    const ended = trial.exited.then((exit) => {
      throw new Error(exit.kind === 'notStarted' ? exit.reason : `it ended: ${JSON.stringify(exit)}`)
    })
    ended.catch(() => undefined)
    // Its own reason says more than that it has ended.
    await (trial.prepared ?? ended)
    return undefined
  } catch (error) {
    return `${inPlainWords(error instanceof Error ? error.message : String(error))}.`
  } finally {
    trial.kill()
    await trial.exited
    closeSync(ticketsFd)
  }
}

/** Without what is said around it anyway, and without the last line of slirp4netns, which tells only that a child of its own ended. */
export function inPlainWords(failure: string): string {
  return failure
    .replace(/^it has no network: /, '')
    .replace(/; child failed\(\d+\)$/, '')
    .replace(/open\("([^"]+)"\): /, 'cannot open $1: ')
}

/** @returns A command to type, or a sentence; undefined when nothing is known. */
export function adviceFor(failure: string): string | undefined {
  if (/not installed|ENOENT/.test(failure)) return installCommand(LAUNCHERS)
  if (/\/dev\/net\/tun.*denied/i.test(failure)) return asRoot(`chmod 666 /dev/net/tun # ${UNTIL_BOOT}`)
  if (/\/dev\/net\/tun/.test(failure)) return 'modprobe tun; for a container: --device /dev/net/tun'
  if (/netlink|RTNETLINK|xfrm/i.test(failure)) return asRoot('modprobe xfrm_user')
  return undefined
}
