import { DEFAULT_PACKAGE_LIMITS } from '../../store/packages/limits.ts'
import { invalidValue, required } from './fields.ts'
import type { Operation } from './operation.ts'

/**
 * What the account may use: this server is one zone of its region, and the default role bears the name that the
 * vendor gives it.
 */
export const getAccountSettings: Operation = (call, { region }) => ({
  status: 200,
  body: {
    availableAZs: [`${region}-a`],
    defaultRole: `acs:ram::${call.accountId}:role/aliyunfcdefaultrole`,
  },
})

/** One setting of the account by its name. `CodeSizeLimit`: bytes of the largest code package that is taken. */
export const getAccountConfigs: Operation = (call) => {
  const config = required(call.query.get('config'), 'config')
  if (config !== 'CodeSizeLimit') throw invalidValue('config', 'CodeSizeLimit', config)
  return { status: 200, body: { CodeSizeLimit: DEFAULT_PACKAGE_LIMITS.archiveBytes } }
}
