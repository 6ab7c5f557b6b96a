import { stderrColors } from './colors.ts'
import { ConfigError, type Complaint } from '../config/config-error.ts'

/** How the program ends; documented, and relied on by scripts. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const

/** A failure that can be explained; everything else that is thrown is a bug. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly complaint: Complaint

  constructor(complaint: Complaint, options?: ErrorOptions) {
    super(`${complaint.what}: ${complaint.why}`, options)
    this.complaint = complaint
  }
}

/** Writes why a command failed to stderr and says with which code the program has to end. */
export function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const complaint of error.complaints) tell(complaint)
    return EXIT.usage
  }
  if (error instanceof CommandFailed) {
    tell(error.complaint)
    return EXIT.failed
  }
  tell({
    what: 'something that should not happen',
    why: (error instanceof Error ? error.stack : undefined) ?? String(error),
    fix: 'please report it',
    see: 'CONTRIBUTING.md',
  })
  return EXIT.failed
}

function tell({ what, why, fix, see }: Complaint): void {
  const colors = stderrColors()
  const rows = [
    `${colors.red('anvoke:')} ${what}`,
    `  ${colors.dim('why')}  ${why}`,
    `  ${colors.dim('fix')}  ${fix}`,
    ...(see === undefined ? [] : [`  ${colors.dim('see')}  ${see}`]),
  ]
  process.stderr.write(`${rows.join('\n')}\n`)
}
