'use strict'

/** When it was called: nanoseconds of the clock that all processes of a machine share (CLOCK_MONOTONIC). */
exports.handler = async () => Buffer.from(String(process.hrtime.bigint()))
