import { stderrColors } from './colors.ts'
import { ConfigError, type Complaint } from '../config/config-error.ts'

/** How the program ends; documented, and relied on by scripts. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notAllowed: 3,
  notFound: 4,
  unreachable: 6,
  interrupted: 130,
  terminated: 143,
} as const

/** A failure that can be explained; everything else that is thrown is a bug. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly complaint: Complaint
  /** One of {@link EXIT}. */
  readonly exitCode: number

  /** @param options `exitCode` where it is not 1. */
  constructor(complaint: Complaint, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    const { exitCode = EXIT.failed, ...rest } = options
    super(`${complaint.what}: ${complaint.why}`, rest)
    this.complaint = complaint
    this.exitCode = exitCode
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
    return error.exitCode
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
