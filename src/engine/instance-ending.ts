import type { Ending } from '../model/outcome.ts'
import type { SandboxExit } from '../sandbox/sandbox.ts'

/** Every ending of an instance has one of these names; `README.md` says what each means for its calls. */
export type InstanceEnding =
  | { readonly kind: 'evicted' | 'retired' | 'killed' | 'timed-out' }
  /** On request, because of the call with this id. */
  | { readonly kind: 'terminated'; readonly requestId: string }
  | { readonly kind: 'start-failed'; readonly reason: string }
  | { readonly kind: 'init-failed'; readonly failure: Extract<Ending, { kind: 'initFailed' }> }
  | { readonly kind: 'crashed'; readonly exit: SandboxExit }
  | { readonly kind: 'broken'; readonly reason: string }

/** What a call that had begun is told when its instance ended, unless the ending was its own: a timeout or a termination. */
export function crashOf(ending: InstanceEnding): Ending {
  if (ending.kind === 'broken') return { kind: 'crashed', cause: 'exited' }
  if (ending.kind !== 'crashed') return { kind: 'crashed', cause: 'signalled', signal: 'SIGKILL' }
  switch (ending.exit.kind) {
    case 'exited':
      return { kind: 'crashed', cause: 'exited', exitCode: ending.exit.exitCode }
    case 'signalled':
      return { kind: 'crashed', cause: 'signalled', signal: ending.exit.signal }
    case 'outOfMemory':
      return { kind: 'crashed', cause: 'outOfMemory' }
    case 'notStarted':
      return { kind: 'crashed', cause: 'exited' }
  }
}

/** How a process ended, for the operator. */
export function exitSentence(exit: SandboxExit): string {
  switch (exit.kind) {
    case 'exited':
      return `it exited with status ${exit.exitCode}`
    case 'signalled':
      return `it was ended by ${exit.signal}`
    case 'outOfMemory':
      return 'it ran out of memory'
    case 'notStarted':
      return exit.reason
  }
}
