/** How many of each there may be. Source: the vendor's limits page. */
export const QUOTA = {
  functions: 400,
  /** Of one function, the latest state included. */
  versions: 20,
  /** Of one function. */
  aliases: 10,
  /** Of one function through one version or alias. */
  triggers: 10,
  /** Of one function. */
  events: 10,
  /** Of one function. */
  tags: 20,
} as const
