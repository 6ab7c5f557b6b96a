import { accountFunctions } from '../../definitions/namespaces.ts'
import { QUOTA } from './limits.ts'
import type { Operation } from './operation.ts'

/** Figures of the vendor's limits page and of the sample of its ListQuotas page; what is not enforced here is the last four. */
const CODE_MB = 10_240
const CONCURRENCY = 100
const INSTANCES = 1000
const SCALE_DOWN_S = 60
const IDLE_S = 100

/** GET /fgs/quotas: what may be used of each resource, and how much is. */
export const listQuotas: Operation = (call, { catalogue }) => {
  const functions = accountFunctions(catalogue, call.accountId)
  const codeBytes = functions.reduce((sum, { spec }) => sum + spec.code.sizeBytes, 0)
  const resource = (type: string, quota: number, used: number, unit = ''): object => ({
    type,
    quota,
    used,
    unit,
  })
  return {
    status: 200,
    body: {
      quotas: {
        resources: [
          resource('fgs_func_num', QUOTA.functions, functions.length),
          resource('fgs_func_code_size', CODE_MB, Math.ceil(codeBytes / 1024 / 1024), 'MB'),
          resource('fgs_func_occurs', CONCURRENCY, 0),
          resource('fgs_on_demand_instance_limit', INSTANCES, 0),
          resource('fgs_func_qos_limit', INSTANCES, 0),
          resource('fgs_func_scale_down_timeout', SCALE_DOWN_S, 0),
          resource('fgs_func_pat_idle_time', IDLE_S, 0),
          resource('fgs_workflow_num', 0, 0),
        ],
      },
    },
  }
}
