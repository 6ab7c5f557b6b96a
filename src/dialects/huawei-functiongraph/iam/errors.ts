const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Request Entity Too Large',
} as const

export type IamStatus = keyof typeof TITLES

/** A request that identity and access management refuses, in its own shape: `{"error":{"code","message","title"}}`. */
export class IamError extends Error {
  override readonly name = 'IamError'
  readonly status: IamStatus

  constructor(status: IamStatus, message: string) {
    super(message)
    this.status = status
  }

  get title(): string {
    return TITLES[this.status]
  }
}
