/**
 * The value of a variable such as `NODE_PATH` or `PYTHONPATH`: the contract's directories, then what the user set.
 *
 * @param directories Absolute; those of an instance without layers are left out by giving undefined.
 * @param ofUser The same variable of the function's own environment.
 */
export function modulePath(directories: readonly (string | undefined)[], ofUser: string | undefined): string {
  return [...directories, ofUser].filter((part) => part !== undefined && part !== '').join(':')
}
