import type { ReadinessCheck } from '../http/server.ts'
import type { ChosenNetwork } from '../sandbox/network/choice.ts'
import type { ChosenSandbox } from '../sandbox/probe.ts'

/** The sandbox that runs functions, as the operator reads it. */
export interface SandboxNote {
  readonly name: string
  /** Why it was taken. */
  readonly detail: string
  /** What the operator should know about it. */
  readonly warning?: string
}

export function noteOf({ sandbox, findings, warning }: ChosenSandbox): SandboxNote {
  return {
    name: sandbox.name,
    detail: findings.find(({ driver }) => driver === sandbox.name)?.detail ?? '',
    ...(warning === undefined ? {} : { warning }),
  }
}

/** What a server that answers says about what functions run on. */
export function readinessOf(sandbox: SandboxNote, network: ChosenNetwork): readonly ReadinessCheck[] {
  const detail = [sandbox.warning, sandbox.detail].filter((text) => text !== undefined).join(' ')
  return [
    { name: `sandbox ${sandbox.name}`, ok: true, detail },
    { name: `network ${network.policy}`, ok: true, detail: network.detail },
  ]
}
