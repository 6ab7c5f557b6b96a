import type { EngineError, EngineErrorCode, EngineErrorDetails } from '../../model/errors.ts'

/**
 * Every error code of this dialect, and its HTTP status. Source: the vendor's error-code page; the gateway's own codes begin
 * with `APIGW`.
 */
export const STATUS_OF = {
  'APIGW.0101': 404,
  'APIGW.0301': 401,
  'FSS.0400': 400,
  'FSS.0401': 401,
  'FSS.0403': 403,
  'FSS.0404': 404,
  'FSS.0406': 406,
  'FSS.0408': 408,
  'FSS.0409': 409,
  'FSS.0410': 410,
  'FSS.0413': 413,
  'FSS.0424': 424,
  'FSS.0426': 426,
  'FSS.0428': 428,
  'FSS.0429': 429,
  'FSS.0500': 500,
  'FSS.0502': 502,
  'FSS.0503': 503,
  'FSS.0504': 504,
  'FSS.1001': 400,
  'FSS.1002': 400,
  'FSS.1003': 400,
  'FSS.1004': 400,
  'FSS.1005': 400,
  'FSS.1006': 400,
  'FSS.1007': 400,
  'FSS.1008': 400,
  'FSS.1009': 400,
  'FSS.1010': 400,
  'FSS.1011': 400,
  'FSS.1012': 400,
  'FSS.1013': 400,
  'FSS.1014': 400,
  'FSS.1015': 400,
  'FSS.1016': 400,
  'FSS.1017': 400,
  'FSS.1018': 400,
  'FSS.1019': 400,
  'FSS.1021': 400,
  'FSS.1022': 400,
  'FSS.1023': 400,
  'FSS.1024': 400,
  'FSS.1025': 400,
  'FSS.1026': 400,
  'FSS.1027': 400,
  'FSS.1028': 400,
  'FSS.1029': 400,
  'FSS.1031': 400,
  'FSS.1032': 400,
  'FSS.1033': 412,
  'FSS.1034': 400,
  'FSS.1035': 400,
  'FSS.1036': 400,
  'FSS.1037': 400,
  'FSS.1038': 400,
  'FSS.1039': 400,
  'FSS.1040': 403,
  'FSS.1041': 403,
  'FSS.1042': 403,
  'FSS.1043': 403,
  'FSS.1044': 403,
  'FSS.1045': 403,
  'FSS.1046': 403,
  'FSS.1047': 403,
  'FSS.1048': 403,
  'FSS.1049': 403,
  'FSS.1050': 404,
  'FSS.1051': 404,
  'FSS.1052': 404,
  'FSS.1053': 404,
  'FSS.1054': 404,
  'FSS.1055': 404,
  'FSS.1056': 404,
  'FSS.1057': 404,
  'FSS.1058': 400,
  'FSS.1059': 404,
  'FSS.1060': 404,
  'FSS.1061': 409,
  'FSS.1062': 409,
  'FSS.1063': 409,
  'FSS.1064': 409,
  'FSS.1065': 409,
  'FSS.1066': 409,
  'FSS.1067': 409,
  'FSS.1068': 403,
  'FSS.1069': 403,
  'FSS.1070': 404,
  'FSS.1071': 413,
  'FSS.1072': 413,
  'FSS.1073': 403,
  'FSS.1074': 400,
  'FSS.1075': 400,
  'FSS.1090': 412,
  'FSS.1091': 400,
  'FSS.1092': 400,
  'FSS.1093': 400,
  'FSS.1094': 403,
  'FSS.1095': 412,
  'FSS.1096': 403,
  'FSS.1101': 400,
  'FSS.1102': 400,
  'FSS.1106': 400,
  'FSS.1107': 400,
  'FSS.1108': 403,
  'FSS.1109': 400,
  'FSS.1111': 404,
  'FSS.1112': 400,
  'FSS.1113': 400,
  'FSS.1114': 400,
  'FSS.1115': 503,
  'FSS.1116': 400,
  'FSS.1117': 400,
  'FSS.1118': 401,
  'FSS.1121': 403,
  'FSS.1122': 403,
  'FSS.1123': 403,
  'FSS.1124': 403,
  'FSS.1125': 403,
  'FSS.1126': 403,
  'FSS.1127': 403,
  'FSS.1128': 403,
  'FSS.1131': 404,
  'FSS.1132': 404,
  'FSS.1136': 404,
  'FSS.1137': 404,
  'FSS.1138': 404,
  'FSS.1140': 404,
  'FSS.1141': 409,
  'FSS.1145': 409,
  'FSS.1146': 409,
  'FSS.1147': 409,
  'FSS.1148': 409,
  'FSS.1150': 409,
  'FSS.1151': 406,
  'FSS.1152': 426,
  'FSS.1153': 412,
  'FSS.1154': 403,
  'FSS.1162': 500,
  'FSS.1169': 503,
  'FSS.1171': 404,
  'FSS.1172': 400,
  'FSS.1174': 404,
  'FSS.1201': 413,
  'FSS.1202': 500,
  'FSS.1221': 400,
  'FSS.1302': 500,
  'FSS.1303': 400,
  'FSS.1306': 400,
  'FSS.1307': 400,
  'FSS.1308': 400,
  'FSS.1309': 400,
  'FSS.1310': 400,
  'FSS.1312': 400,
  'FSS.1313': 400,
  'FSS.1314': 400,
  'FSS.1316': 400,
  'FSS.1317': 400,
  'FSS.1318': 400,
  'FSS.1319': 502,
  'FSS.1401': 503,
  'FSS.1402': 503,
  'FSS.1403': 503,
  'FSS.1404': 400,
  'FSS.1405': 400,
  'FSS.1417': 400,
} as const

export type FssCode = keyof typeof STATUS_OF

/** A request this dialect refuses: the code the vendor's clients branch on and a sentence for people. */
export class FssError extends Error {
  override readonly name = 'FssError'
  readonly code: FssCode

  constructor(code: FssCode, message: string) {
    super(message)
    this.code = code
  }
}

const INTERNAL = 'an internal error has occurred; retry'

const FSS_ERRORS: { [C in EngineErrorCode]: (details: EngineErrorDetails[C]) => FssError } = {
  // A function's package is made with it: where it is missing, so is the function.
  'caller/namespace-not-found': ({ namespace }) =>
    new FssError('FSS.1051', `Not found the function: there is no package '${namespace}'`),
  'caller/function-not-found': ({ namespace, name }) =>
    new FssError('FSS.1051', `Not found the function '${name}' in the package '${namespace}'`),
  'caller/version-not-found': ({ version }) =>
    new FssError('FSS.1052', `Not found the function version '${version}'`),
  'caller/alias-not-found': ({ alias }) =>
    new FssError('FSS.1053', `Not found the function version alias '${alias}'`),
  'caller/runtime-missing': ({ runtime, hint }) =>
    new FssError('FSS.1005', `the runtime ${runtime} is not available on this server: ${hint}`),
  // No 503, which says that a repeat may succeed.
  'caller/memory-unavailable': ({ neededMib, availableMib }) =>
    new FssError(
      'FSS.0400',
      `memory_size is ${neededMib} MB, more than the ${availableMib} MB that this server has for all instances together: lower it, or raise the server's setting memoryBudgetMib`,
    ),
  'caller/concurrency-exceeded': ({ scope, limit }) =>
    scope === 'function' && limit === 0
      ? new FssError('FSS.0429', 'Function Disabled')
      : new FssError(
          'FSS.0429',
          `too many requests: the ${scope} is at its limit of ${limit} concurrent calls`,
        ),
  'caller/payload-budget-exceeded': ({ limitBytes }) =>
    new FssError('FSS.0429', `too many requests: payloads in flight exceed ${limitBytes} bytes; retry later`),
  'caller/payload-too-large': ({ limitBytes }) =>
    new FssError('FSS.0413', `the request body exceeds the maximum allowed size (${limitBytes} bytes)`),
  'caller/queue-full': ({ limit }) =>
    new FssError('FSS.0429', `too many requests: the queue of asynchronous calls is full (${limit})`),
  'caller/task-exists': ({ taskId }) => new FssError('FSS.0409', `the asynchronous call ${taskId} exists`),
  'caller/gone': () => new FssError('FSS.0408', 'the client closed the request'),
  'platform/no-capacity': ({ waitedMs }) =>
    new FssError('FSS.0503', `no instance became free within ${Math.round(waitedMs)} ms; retry later`),
  'platform/start-failed': () => new FssError('FSS.0500', INTERNAL),
  'platform/draining': () => new FssError('FSS.0503', 'the server is shutting down; retry later'),
  'platform/store-full': () => new FssError('FSS.0503', 'the server has no room to store this; retry later'),
  'platform/store-failed': () => new FssError('FSS.0500', INTERNAL),
}

/** The dialect's answer to an engine error: one row for each code there is. */
export function fssErrorOf<C extends EngineErrorCode>(error: EngineError<C>): FssError {
  return FSS_ERRORS[error.code](error.details)
}
