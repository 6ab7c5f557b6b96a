import pc from 'picocolors'

/**
 * Colours for what goes to stderr: for people at a terminal only. `NO_COLOR`, `TERM=dumb` and `CI` turn them off, and
 * `FORCE_COLOR` wins over all of it.
 */
export function stderrColors(): ReturnType<typeof pc.createColors> {
  const { FORCE_COLOR, NO_COLOR, TERM, CI } = process.env
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0'
  // A stream that is no terminal has no `isTTY` at all, and an undefined answer would mean "find out yourself".
  const isTerminal: boolean | undefined = process.stderr.isTTY
  const wanted = isTerminal && !NO_COLOR && TERM !== 'dumb' && !CI
  return pc.createColors(forced || wanted || false)
}
