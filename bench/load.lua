-- What wrk sends and counts. Settings come from the environment, written by load.ts:
--   BENCH_HEADERS        "Name: value" lines
--   BENCH_BODY_FILE      request body
--   BENCH_BODIES_FILE    or one request body per line, sent in turn
--   BENCH_EXPECT_FILE    the only right response body: every response is compared with it
--   BENCH_EXPECT_STATUS  the only right status
--   BENCH_EXPECT_PART    or text that every response must contain
-- The last line of output is one JSON object.

local function slurp(path)
  local file = assert(io.open(path, 'rb'))
  local bytes = file:read('*a')
  file:close()
  return bytes
end

local expectedFile = os.getenv('BENCH_EXPECT_FILE')
local expected = expectedFile and slurp(expectedFile)
local expectedStatus = tonumber(os.getenv('BENCH_EXPECT_STATUS'))
local expectedPart = os.getenv('BENCH_EXPECT_PART')
local bodiesFile = os.getenv('BENCH_BODIES_FILE')
local threads = {}
wrong, checked, firstWrong = 0, 0, ''

wrk.method = 'POST'
if not bodiesFile then wrk.body = slurp(os.getenv('BENCH_BODY_FILE')) end
for name, value in string.gmatch(os.getenv('BENCH_HEADERS'), '([^\n:]+): ([^\n]+)') do
  wrk.headers[name] = value
end

-- Requests are made before the clock runs.
if bodiesFile then
  local requests, turn = {}, 0
  function init()
    for body in io.lines(bodiesFile) do requests[#requests + 1] = wrk.format(nil, nil, nil, body) end
  end
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

local function isRight(body)
  if expected then return body == expected end
  return string.find(body, expectedPart, 1, true) ~= nil
end

function setup(thread)
  table.insert(threads, thread)
end

function response(status, headers, body)
  checked = checked + 1
  if status ~= expectedStatus or not isRight(body) then
    wrong = wrong + 1
    if firstWrong == '' then firstWrong = status .. ' ' .. string.sub(body, 1, 200) end
  end
end

local function quote(text)
  return '"' .. string.gsub(text, '[%c"\\\128-\255]', function(c) return string.format('\\u%04x', string.byte(c)) end) .. '"'
end

function done(summary, latency, requests)
  local thread = threads[1]
  local e = summary.errors
  io.write(string.format(
    '\n{"durationUs":%d,"requests":%d,"bytes":%d,"connectErrors":%d,"readErrors":%d,"writeErrors":%d,' ..
    '"timeouts":%d,"statusErrors":%d,"checked":%d,"wrongBodies":%d,"firstWrong":%s,' ..
    '"p50Us":%d,"p90Us":%d,"p99Us":%d,"maxUs":%d}\n',
    summary.duration, summary.requests, summary.bytes, e.connect, e.read, e.write, e.timeout, e.status,
    thread:get('checked'), thread:get('wrong'), quote(thread:get('firstWrong')),
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
