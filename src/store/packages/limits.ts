/** How much a code package may hold. Every bound is inclusive. */
export interface PackageLimits {
  /**
   * Bytes of the zip itself. Default 104 857 600 (100 MiB). Raise it to 500 MiB where uploads arrive beside the API.
   * Source: Alibaba Cloud Function Compute limits page, code package "100 MB through the API body".
   */
  archiveBytes: number
  /**
   * Bytes of all files together once expanded, counted while they are written. Default 524 288 000 (500 MiB).
   * Source: the same page, code package "500 MB".
   */
  expandedBytes: number
  /**
   * Entries in the archive, and paths in the tree with the folders that entries imply. Default 65 535, the most a zip
   * without the zip64 extension can count. The vendor publishes no number.
   */
  entries: number
  /**
   * Expanded bytes per byte of the zip, for the whole archive. Default 200: text compresses below 20, deflate ends
   * near 1 032. Applies once `ratioFloorBytes` are expanded, so that small repetitive packages pass.
   */
  ratio: number
  /** Expanded bytes below which `ratio` is not looked at. Default 16 777 216 (16 MiB). */
  ratioFloorBytes: number
  /** UTF-8 bytes of one path or one link target. Default 1 024, which leaves Linux's 4 096 room for the prefix. */
  pathBytes: number
  /** Segments of one path. Default 64. */
  pathDepth: number
  /** Puts under way at once, waiting ones included; further ones are refused as `busy`. Default 64. */
  concurrentPuts: number
  /** Milliseconds that unpacking one package may take before it is given up. Default 300 000. */
  intakeTimeoutMs: number
}

export const DEFAULT_PACKAGE_LIMITS: Readonly<PackageLimits> = Object.freeze({
  archiveBytes: 100 * 1024 * 1024,
  expandedBytes: 500 * 1024 * 1024,
  entries: 65_535,
  ratio: 200,
  ratioFloorBytes: 16 * 1024 * 1024,
  pathBytes: 1024,
  pathDepth: 64,
  concurrentPuts: 64,
  intakeTimeoutMs: 300_000,
})
