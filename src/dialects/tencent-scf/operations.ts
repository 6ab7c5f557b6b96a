import { invoke, invokeFunction, invokeFunctionLegacy } from './invoke.ts'
import type { Operation } from './operation.ts'

/**
 * What one action needs beside its operation.
 *
 * To add an action: write its `Operation` in the file of its resource, name it in the union, and the table below will
 * not compile until it has a row.
 */
export interface ActionDefinition {
  readonly run: Operation
  /** The request may hold a zip archive: its body may be long, and the archive is cut out of it. */
  readonly takesCode?: true
  /** The request may hold a large event: its body may be long, and is parsed whole. */
  readonly takesEvent?: true
}

/** Every action of API 3.0 (version 2018-04-16), by the vendor's name. */
export type Action = 'Invoke' | 'InvokeFunction'

/** Every action of the legacy API 2.0, by the vendor's name. */
export type LegacyAction = 'InvokeFunction'

export const API3: Readonly<Record<Action, ActionDefinition>> = {
  Invoke: { run: invoke, takesEvent: true },
  InvokeFunction: { run: invokeFunction, takesEvent: true },
}

export const API2: Readonly<Record<LegacyAction, ActionDefinition>> = {
  InvokeFunction: { run: invokeFunctionLegacy, takesEvent: true },
}
