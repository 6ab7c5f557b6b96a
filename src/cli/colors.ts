import pc from 'picocolors'

/**
 * Colours for what goes to stderr: for people at a terminal only. `NO_COLOR`, `TERM=dumb` and `CI` turn them off, and
 * `FORCE_COLOR` wins over all of it.
 */
export function stderrColors(): ReturnType<typeof pc.createColors> {
  const { FORCE_COLOR, NO_COLOR, TERM, CI } = process.env
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0'
  return pc.createColors(forced || (Boolean(process.stderr.isTTY) && !NO_COLOR && TERM !== 'dumb' && !CI))
}
