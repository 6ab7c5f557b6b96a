import type { Obstacle } from './branches.ts'
import { CONTROLLERS, type Controller } from './limits.ts'

/** What the groups of this host were seen to do. */
export interface CgroupAbilities {
  /** Limited by the kernel. */
  readonly controllers: ReadonlySet<Controller>
  /** Whether memory is limited together with swap, or there is no swap. */
  readonly countsSwap: boolean
  readonly freezes: boolean
  /** Versions of the hierarchies in use. */
  readonly versions: readonly (1 | 2)[]
}

const UNLIMITED: Record<Controller, string> = {
  memory: 'memory is watched and can be passed for a moment',
  pids: 'processes are counted for each user id alone',
  cpu: 'processors are not shared out by memory',
}

/** What the operator is told: which limits are exact, what is missing, and what to do about it. */
export function sentencesOf(abilities: CgroupAbilities, obstacles: readonly Obstacle[]): string {
  const { controllers, countsSwap, freezes, versions } = abilities
  const sentences: string[] = []
  const sum = countsSwap ? 'memory, swap and files in /tmp' : 'memory and files in /tmp, without swap'
  const limited = [
    ...(controllers.has('memory') ? [`the sum of ${sum}`] : []),
    ...(controllers.has('pids') ? ['the number of processes'] : []),
  ]
  const by = `cgroup ${versions.map((version) => `v${version}`).join(' and ')}`
  if (limited.length > 0)
    sentences.push(`The kernel limits for each instance, exactly: ${limited.join('; ')} (${by}).`)
  if (controllers.has('cpu')) sentences.push('Instances share processors by their memory.')
  const causes = Map.groupBy(obstacles, ({ reason, remedy }) => `${reason}. ${remedy}`)
  for (const [cause, same] of causes) {
    const missed = CONTROLLERS.filter((one) => same.some((obstacle) => obstacle.controllers.includes(one)))
    if (missed.length > 0)
      sentences.push(`${capital(listOf(missed.map((one) => UNLIMITED[one])))}, because ${cause}`)
  }
  if (freezes) sentences.push('Idle instances are frozen.')
  else
    sentences.push(
      'Idle instances are not frozen and may use processors between calls: that needs a writable cgroup v2 and Linux 5.2.',
    )
  return sentences.join(' ')
}

function listOf(words: readonly string[]): string {
  const last = words.at(-1) ?? ''
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} and ${last}`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
