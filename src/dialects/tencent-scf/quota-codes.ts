import { QuotaExceeded } from '../../definitions/quotas.ts'
import { ScfError, type ScfCode } from './errors.ts'

/** Does what may find a quota used up, and tells that with the code the vendor has for it. @throws {ScfError} */
export function withQuotaCode<T>(code: ScfCode, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof QuotaExceeded ? new ScfError(code, error.message) : error
  }
}
