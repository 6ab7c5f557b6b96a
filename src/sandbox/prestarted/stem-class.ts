import type { Mount, SandboxSpec } from '../sandbox.ts'

/** A specification without what only one start of one function has. */
export type SpecTemplate = Omit<SandboxSpec, 'functionId' | 'ticketsFd'>

/** What processes have to have in common so that one can stand in for another. */
export interface StemClass {
  /** Equal for equal classes. */
  readonly key: string
  /** Without the mounts that hold code. */
  readonly template: SpecTemplate
  /** Where code is to be seen; at least one place. */
  readonly codeTargets: readonly string[]
}

export function templateOf({
  functionId: _functionId,
  ticketsFd: _ticketsFd,
  ...template
}: SandboxSpec): SpecTemplate {
  return template
}

/**
 * The class of a specification: everything in it but the function's id and what its code mounts show.
 *
 * @returns Undefined where no process can be started before its code is known: there is none, or a mount lies inside another
 *   mount that holds code, or around one, which a driver can only take apart when it sees both.
 */
export function stemClassOf(spec: SpecTemplate): StemClass | undefined {
  const code = codeMountsOf(spec)
  const base = spec.mounts.filter((mount) => mount.holdsCode !== true)
  if (code.length === 0 || code.some((mount) => isNested(mount, spec.mounts))) return undefined
  const codeTargets = code.map(({ target }) => target).sort()
  const template = { ...spec, mounts: base }
  return { key: JSON.stringify([template, codeTargets]), template, codeTargets }
}

export function codeMountsOf({ mounts }: SpecTemplate): readonly Mount[] {
  return mounts.filter((mount) => mount.holdsCode === true)
}

function isNested(mount: Mount, mounts: readonly Mount[]): boolean {
  return mounts.some(
    ({ target }) => target.startsWith(`${mount.target}/`) || mount.target.startsWith(`${target}/`),
  )
}
