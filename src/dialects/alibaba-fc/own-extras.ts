import type { Extras } from '../../store/definition-store.ts'
import { extrasOf, withExtras } from '../extras.ts'

/** This dialect's name, and that of the handler contract of every function made through it. */
export const DIALECT = 'alibaba-fc'

/** What this dialect keeps with a record; empty when another dialect made it. */
export const ownExtras = (record: { readonly extras: Extras } | undefined): Extras =>
  record === undefined ? {} : extrasOf(record.extras, DIALECT)

/** The extras of a record with this dialect's part replaced, and those of the others as they were. */
export const withOwnExtras = (record: { readonly extras: Extras } | undefined, own: object): Extras =>
  withExtras(record?.extras ?? {}, DIALECT, { ...own })
