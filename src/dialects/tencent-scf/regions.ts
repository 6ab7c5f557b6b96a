import { ScfError } from './errors.ts'

/** Short names of the legacy API. Source: the vendor's page on common parameters. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['gz', 'ap-guangzhou'],
  ['sh', 'ap-shanghai'],
  ['bj', 'ap-beijing'],
  ['cd', 'ap-chengdu'],
  ['cq', 'ap-chongqing'],
  ['hk', 'ap-hongkong'],
  ['sg', 'ap-singapore'],
  ['th', 'ap-bangkok'],
  ['kr', 'ap-seoul'],
  ['jp', 'ap-tokyo'],
  ['de', 'eu-frankfurt'],
  ['in', 'ap-mumbai'],
  ['ca', 'na-toronto'],
  ['usw', 'na-siliconvalley'],
  ['use', 'na-ashburn'],
])

const REGION = /^[a-z]{2,}(?:-[a-z0-9]+){1,5}$/

/**
 * The region a request names, in its long form. All regions lead to this server: one is only held to the form of a name.
 *
 * @param own Region of requests that name none; taken whatever its form.
 * @throws {ScfError} `UnsupportedRegion`
 */
export function regionOf(named: string | undefined, own: string): string {
  if (named === undefined || named === '' || named === own) return own
  const long = SHORT_NAMES.get(named) ?? named
  if (long.length <= 64 && REGION.test(long)) return long
  throw new ScfError('UnsupportedRegion', 'the region is not known')
}
