import { Turns } from '../../intake/slices.ts'

/** Requests that read kept logs run one at a time: each may hold tens of MB of them until its answer is made. */
export const historyTurns = new Turns()
