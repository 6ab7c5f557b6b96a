/** The vendor's legacy client has no types of its own: what tests use of it, as its source has it. */
declare module 'qcloudapi-sdk' {
  interface Settings {
    readonly SecretId: string
    readonly SecretKey: string
    readonly Region?: string
    readonly serviceType?: string
    readonly protocol?: 'http' | 'https'
    readonly host?: string
    readonly method?: 'GET' | 'POST'
    readonly path?: string
    readonly signatureMethod?: 'sha1' | 'sha256'
    readonly maxKeys?: number
  }

  class QcloudApi {
    constructor(defaults: Settings)
    request(
      data: Readonly<Record<string, unknown>>,
      callback: (error: Error | null, body: unknown) => void,
    ): void
  }

  export = QcloudApi
}
