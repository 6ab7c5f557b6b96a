/** One call as it came over the channel. */
export class Call {
  readonly id: number
  readonly epoch: number
  /** Members of the INVOKE meta: the request id and what the contract adds per call. */
  readonly meta: string
  readonly event: Buffer
  /** Monotonic milliseconds at the taken ticket; 0 before. */
  startedAtMs = 0
  /** Its RESULT is sent: whatever it says afterwards is ignored. */
  settled = false
  requestId = ''

  constructor(id: number, epoch: number, meta: string, event: Buffer) {
    this.id = id
    this.epoch = epoch
    this.meta = meta
    this.event = event
  }
}

/** How a call ended, as the contract words it. `flag` is one of RESULT_FLAG. */
export interface CallEnd {
  readonly flag: number
  readonly errorType?: string
  readonly payload: Buffer | string
}

/** A failure to load or to initialise, as the contract words it. */
export interface Failure {
  readonly errorType: string
  readonly body: string
}
