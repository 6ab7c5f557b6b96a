import { randomUUID } from 'node:crypto'

/** An id for anything that is named by us: unique, never used again. A UUID, lower-case. */
export const newId = (): string => randomUUID()
