import { readFileSync } from 'node:fs'

/** A distribution's way to install packages, by the names in `ID` and `ID_LIKE` of its os-release file. */
const INSTALLERS: readonly (readonly [family: RegExp, command: string])[] = [
  [/debian|ubuntu/, 'apt-get install -y'],
  [/fedora|rhel|centos/, 'dnf install -y'],
  [/alpine/, 'apk add'],
  [/arch/, 'pacman -S --noconfirm'],
  [/suse/, 'zypper install -y'],
]

const OS_RELEASE = ['/etc/os-release', '/usr/lib/os-release']

/** Settings of the kernel that keep user namespaces from ordinary users: what they are then, and what they should be. */
const NAMESPACE_SYSCTLS = [
  { name: 'kernel.unprivileged_userns_clone', forbids: '0', allows: '1' },
  { name: 'kernel.apparmor_restrict_unprivileged_userns', forbids: '1', allows: '0' },
  { name: 'user.max_user_namespaces', forbids: '0', allows: '15000' },
] as const

/**
 * The command that installs packages on this host, to be typed by the user who runs the server.
 *
 * @param packages Debian's names; most distributions share them.
 */
export function installCommand(packages: readonly string[]): string {
  const release = OS_RELEASE.map((file) => contentOf(file)).find((text) => text !== undefined) ?? ''
  const families = [...release.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map(([, names]) => names).join(' ')
  const [, installer] = INSTALLERS.find(([family]) => family.test(families)) ?? []
  if (installer === undefined)
    return `install ${packages.join(' and ')} with the package manager of this host`
  // There, Python has no other major version to be told from.
  const names = installer.startsWith('pacman')
    ? packages.map((name) => (name === 'python3' ? 'python' : name))
    : packages
  return asRoot(`${installer} ${names.join(' ')}`)
}

/** The command that lets ordinary users make user namespaces; undefined when no setting of the kernel forbids it. */
export function userNamespaceCommand(): string | undefined {
  const changes = NAMESPACE_SYSCTLS.filter(
    ({ name, forbids }) => contentOf(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim() === forbids,
  ).map(({ name, allows }) => `${name}=${allows}`)
  return changes.length === 0 ? undefined : asRoot(`sysctl -w ${changes.join(' ')}`)
}

/** As it is to be typed by the user who runs the server. */
export function asRoot(command: string): string {
  return process.getuid?.() === 0 ? command : `sudo ${command}`
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
