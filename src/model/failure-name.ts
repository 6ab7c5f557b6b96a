import type { Ending } from './outcome.ts'

/** What is no error that the code has thrown. */
const PLAIN_FAILURES = [
  'timedOut',
  'exited',
  'signalled',
  'outOfMemory',
  'initTimedOut',
  'initCrashed',
] as const
const INITIALIZER_THREW = 'initializerThrew: '
const HANDLED = 'handled: '

/** How a run failed, as far as its name tells. */
export type NamedFailure =
  | { readonly kind: (typeof PLAIN_FAILURES)[number] }
  /** Of the code as it was loaded or called, as it reported it itself, or of its initializer. */
  | { readonly kind: 'threw' | 'handled' | 'initializerThrew'; readonly errorType: string }

type Failed = Exclude<Ending, { readonly kind: 'returned' | 'cancelled' | 'terminated' }>

/** The one name under which a failed run is kept in the record of its task. */
export function failureNameOf(ending: Failed): string {
  switch (ending.kind) {
    case 'threw':
      return ending.handled ? HANDLED + ending.errorType : ending.errorType
    case 'timedOut':
      return 'timedOut'
    case 'crashed':
      return ending.cause
    case 'initFailed':
      if (ending.reason === 'timedOut') return 'initTimedOut'
      if (ending.reason === 'crashed') return 'initCrashed'
      return ending.phase === 'load' ? ending.errorType : INITIALIZER_THREW + ending.errorType
  }
}

/** Reads what {@link failureNameOf} gave. Code may call its errors like other failures: then they are taken for those. */
export function readFailureName(name: string): NamedFailure {
  const plain = PLAIN_FAILURES.find((kind) => kind === name)
  if (plain !== undefined) return { kind: plain }
  if (name.startsWith(INITIALIZER_THREW))
    return { kind: 'initializerThrew', errorType: name.slice(INITIALIZER_THREW.length) }
  if (name.startsWith(HANDLED)) return { kind: 'handled', errorType: name.slice(HANDLED.length) }
  return { kind: 'threw', errorType: name }
}

/** What is kept as the reason of a failure, for APIs that do not tell whether the code reported it itself. */
export function shownFailureName(name: string): string {
  const failure = readFailureName(name)
  return failure.kind === 'handled' ? failure.errorType : name
}
