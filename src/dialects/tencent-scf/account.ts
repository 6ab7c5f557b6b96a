import { accountFunctions } from '../../definitions/namespaces.ts'
import { QUOTA } from '../../definitions/quotas.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { AGE_S, MAX_RETRIES } from './async-settings.ts'
import { reservedMib, TOTAL_MEMORY_MIB } from './concurrency.ts'
import { namespacesOf } from './namespaces.ts'
import type { JsonObject, Operation } from './operation.ts'
import { provisionedMib } from './provision.ts'
import { LONGEST_TIMEOUT_S } from './run-settings.ts'
import { LONGEST_INIT_TIMEOUT_S } from './shown-settings.ts'
import { MAX_TRIGGERS_PER_TYPE } from './trigger-records.ts'

/** Kinds of triggers as the vendor counts them. */
const TRIGGER_KINDS = [
  'Cos',
  'Timer',
  'Cmq',
  'Ckafka',
  'Apigw',
  'Cls',
  'Clb',
  'Mps',
  'Cm',
  'Vod',
  'Eb',
] as const

/** What the account uses, and what it may use: this server's own limits, which are wider than the vendor's. */
export const getAccount: Operation = (call, { catalogue }) => {
  const names = namespacesOf(catalogue, call.accountId).map(({ name }) => name)
  const functions = new Map<string, FunctionRecord[]>(names.map((name) => [name, []]))
  for (const head of accountFunctions(catalogue, call.accountId)) functions.get(head.namespace)?.push(head)
  const provisioned = provisionedMib(catalogue, call.accountId)
  const usage = [...functions].map(([name, own]) => usageBody(catalogue, name, own, provisioned))
  return {
    AccountUsage: {
      NamespacesCount: names.length,
      Namespace: usage,
      TotalConcurrencyMem: TOTAL_MEMORY_MIB,
      TotalAllocatedConcurrencyMem: usage.reduce((sum, one) => sum + one.TotalAllocatedConcurrencyMem, 0),
      UserConcurrencyMemLimit: TOTAL_MEMORY_MIB,
    },
    AccountLimit: {
      NamespacesCount: QUOTA.namespacesPerAccount,
      Namespace: names.map(limitBody),
    },
  }
}

function usageBody(
  definitions: Definitions,
  namespace: string,
  functions: readonly FunctionRecord[],
  provisioned: ReadonlyMap<string, number>,
) {
  const sumOf = (mibOf: (head: FunctionRecord) => number | undefined): number =>
    functions.reduce((sum, head) => sum + (mibOf(head) ?? 0), 0)
  return {
    Functions: functions.map(({ name }) => name),
    Namespace: namespace,
    FunctionsCount: functions.length,
    TotalConcurrencyMem: TOTAL_MEMORY_MIB,
    TotalAllocatedConcurrencyMem: sumOf((head) => reservedMib(definitions, head)),
    TotalAllocatedProvisionedMem: sumOf(({ name }) => provisioned.get(`${namespace}/${name}`)),
  }
}

function limitBody(namespace: string): JsonObject {
  return {
    FunctionsCount: QUOTA.functionsPerNamespace,
    Trigger: {
      ...Object.fromEntries(TRIGGER_KINDS.map((kind) => [kind, MAX_TRIGGERS_PER_TYPE])),
      Total: MAX_TRIGGERS_PER_TYPE * TRIGGER_KINDS.length,
    },
    Namespace: namespace,
    ConcurrentExecutions: TOTAL_MEMORY_MIB / 128,
    TimeoutLimit: LONGEST_TIMEOUT_S,
    TestModelLimit: 0,
    InitTimeoutLimit: LONGEST_INIT_TIMEOUT_S,
    RetryNumLimit: MAX_RETRIES,
    MinMsgTTL: AGE_S.min,
    MaxMsgTTL: AGE_S.max,
  }
}
