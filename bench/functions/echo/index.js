'use strict'

/** Echo: the bytes of the event are the result. Every measured system runs this file. */
exports.handler = async (event) => event
