/** The vendor's client of API 2016-08-15 has no types of its own: the calls that tests make, as its source has them. */
declare module '@alicloud/fc2' {
  type Headers = Record<string, string>
  type Options = Record<string, unknown>

  interface Answer {
    readonly headers: Headers
    // oxlint-disable-next-line typescript/no-explicit-any -- its members are what the tests look into
    readonly data: any
  }

  interface ClientConfig {
    readonly accessKeyID: string
    readonly accessKeySecret: string
    readonly securityToken?: string
    readonly region: string
    readonly endpoint: string
    /** Milliseconds. */
    readonly timeout?: number
    readonly headers?: Headers
  }

  class Client {
    constructor(accountId: string, config: ClientConfig)
    /** For what the client has no method of its own for: a path after the API version. */
    get(path: string, query?: Options, headers?: Headers): Promise<Answer>
    put(path: string, body?: Options, headers?: Headers): Promise<Answer>
    createService(service: string, options?: Options, headers?: Headers): Promise<Answer>
    getService(service: string, headers?: Headers, qualifier?: string): Promise<Answer>
    listServices(options?: Options, headers?: Headers): Promise<Answer>
    updateService(service: string, options?: Options, headers?: Headers): Promise<Answer>
    /** The second parameter is called options and sent as headers. */
    deleteService(service: string, headers?: Headers): Promise<Answer>
    createFunction(service: string, options: Options, headers?: Headers): Promise<Answer>
    getFunction(service: string, name: string, headers?: Headers, qualifier?: string): Promise<Answer>
    getFunctionCode(service: string, name: string, headers?: Headers, qualifier?: string): Promise<Answer>
    listFunctions(service: string, options?: Options, headers?: Headers, qualifier?: string): Promise<Answer>
    updateFunction(service: string, name: string, options: Options, headers?: Headers): Promise<Answer>
    /** The options go into the query. */
    deleteFunction(service: string, name: string, options?: Options, headers?: Headers): Promise<Answer>
    invokeFunction(
      service: string,
      name: string,
      event?: string | Buffer,
      headers?: Headers,
      qualifier?: string,
      options?: { rawBuf?: boolean },
    ): Promise<Answer>
    publishVersion(service: string, description?: string, headers?: Headers): Promise<Answer>
    listVersions(service: string, options?: Options, headers?: Headers): Promise<Answer>
    deleteVersion(service: string, version: string, headers?: Headers): Promise<Answer>
    createAlias(service: string, alias: string, version: string, options?: Options): Promise<Answer>
    getAlias(service: string, alias: string): Promise<Answer>
    listAliases(service: string, options?: Options): Promise<Answer>
    updateAlias(service: string, alias: string, version?: string, options?: Options): Promise<Answer>
    deleteAlias(service: string, alias: string): Promise<Answer>
    tagResource(arn: string, tags: Headers): Promise<Answer>
    untagResource(arn: string, keys: readonly string[], all?: boolean): Promise<Answer>
    getResourceTags(options: { resourceArn: string }): Promise<Answer>
    putFunctionAsyncConfig(
      service: string,
      name: string,
      qualifier: string | undefined,
      options: Options,
    ): Promise<Answer>
    getFunctionAsyncConfig(service: string, name: string, qualifier?: string): Promise<Answer>
    listFunctionAsyncConfigs(service: string, name: string, options?: Options): Promise<Answer>
    deleteFunctionAsyncConfig(service: string, name: string, qualifier?: string): Promise<Answer>
    putOnDemandConfig(
      service: string,
      name: string,
      qualifier: string | undefined,
      options: Options,
    ): Promise<Answer>
    getOnDemandConfig(service: string, name: string, qualifier?: string): Promise<Answer>
    listOnDemandConfigs(options?: Options): Promise<Answer>
    deleteOnDemandConfig(service: string, name: string, qualifier?: string): Promise<Answer>
    putProvisionConfig(
      service: string,
      name: string,
      qualifier: string | undefined,
      options: Options,
    ): Promise<Answer>
    getProvisionConfig(service: string, name: string, qualifier?: string): Promise<Answer>
    listProvisionConfigs(options?: Options): Promise<Answer>
  }

  export = Client
}
