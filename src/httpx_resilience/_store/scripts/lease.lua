-- Lease units of one scope's rate limits to one process. Lua 5.1; Redis >= 7, Valkey >= 8.
--
-- A process says what it wants, what it has in flight, what was answered, and what responses said
-- is left. It is granted units, to be sent before the lease ends, or is given a time to ask again.
--
-- KEYS[1] is a hash, all of it numbers, keyed hashes and single letters; fields:
--   m           epoch closed free silent rate version ceiling probe_until probe_sent probe_by
--   r:<row>     kind limit total sent measured nominal high kept pace refill reserve window cost
--               settled trickle strangers
--   p:<process> sequence seen since next until wanted head held_since {row out answered}
-- Times are the store's, in milliseconds. Of a row:
--   settled     units, ever, that the server has counted for sure
--   out         units leased to a process and not settled
--   total       settled and left of it, by what responses said: -1 while nothing is known
--   left        total - settled - the sum of out
--
-- A response bounds the total from both sides: what it says is left, and what was surely settled
-- when its request was sent (its base); what it says is left, and all that may be settled by now.
-- The highest of the lower bounds holds, for nothing is taken from a window but what is leased here,
-- until an upper bound shows that it is: then strangers spend of it, and the last lower bound holds.
--
-- ARGV: process sequence epoch closed doubt silent wanted head rate version is_cut ceiling flying
-- rows, and for each row: id in_flight answered want need is_known kind limit remaining base age low nominal
-- high kept pace refill reserve window cost. Durations are milliseconds from now.
--
-- Returns: granted epoch lease processes closed retry free probe rate version ceiling rows, and for
-- each row: id granted others_settled left cost.

local GRACE, ACTIVE, POLL, LOOK, PROBED = 2000, 300, 100, 1000, 1000
local LONGEST, MOST = 86400000, 1e15
local MAX_ROWS, MAX_PROCESSES, MAX_LEASE, MIN_LEASE = 16, 1024, 1000, 100
local SILENT, FREE, YOUNG = 3, 60000, 2000  -- answers that announce nothing; milliseconds

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local floor, max, min = math.floor, math.max, math.min

local function num(text, low, high, default)
  local n = tonumber(text)
  if n == nil or n ~= n or n < low or n > high then return default end
  return n
end

local function words(text)
  local found = {}
  for word in string.gmatch(text, '%S+') do found[#found + 1] = word end
  return found
end

local function id(text)
  return type(text) == 'string' and #text <= 32 and string.match(text, '^%w+$') or nil
end

local function shown(n)
  if n == floor(n) then return string.format('%.0f', n) end
  return string.format('%.6f', n)
end

-- What the store has. Whatever does not read as it should is as good as not there.

local function load_meta(text)
  local w = words(text or '')
  return {
    epoch = num(w[1], 1, now, 0), closed = num(w[2], 0, now + LONGEST, 0),
    free = num(w[3], 0, now + FREE, 0), silent = num(w[4], 0, 1e6, 0),
    rate = num(w[5], 0, 1e9, 0), version = num(w[6], 0, MOST, 0), ceiling = num(w[7], 0, 1e9, 0),
    probe_until = num(w[8], 0, now + PROBED, 0), probe_sent = num(w[9], 0, now, 0),
    probe_by = id(w[10]) or '0',
  }
end

local function load_row(text)
  local w = words(text)
  local row = {
    kind = w[1], limit = num(w[2], 0, MOST), total = num(w[3], -1, MOST),
    sent = num(w[4], 0, now), measured = num(w[5], 0, now),
    nominal = num(w[6], 0, now + LONGEST), high = num(w[7], 0, now + LONGEST),
    kept = num(w[8], 0, 100), pace = num(w[9], 0, LONGEST), refill = num(w[10], 0, 1e9),
    reserve = num(w[11], 0, MOST), window = num(w[12], 0, LONGEST), cost = num(w[13], 1, MOST),
    settled = num(w[14], 0, MOST), trickle = num(w[15], 0, now + 2 * LONGEST),
    strangers = num(w[16], 0, 1), out = 0,
  }
  for _, field in ipairs({'limit', 'total', 'sent', 'measured', 'nominal', 'high', 'kept', 'pace',
    'refill', 'reserve', 'window', 'cost', 'settled', 'trickle', 'strangers'}) do
    if row[field] == nil then return nil end
  end
  return row
end

local function load_process(text)
  local w = words(text)
  local process = {
    sequence = num(w[1], 0, MOST), seen = num(w[2], 0, now), since = num(w[3], 0, now),
    next = num(w[4], 0, now + LONGEST), ends = num(w[5], 0, now + MAX_LEASE),
    wanted = num(w[6], 0, 1e9), head = num(w[7], 0, 1e9), held_since = num(w[8], 0, now), out = {}, answered = {},
  }
  for _, field in ipairs({'sequence', 'seen', 'since', 'next', 'ends', 'wanted', 'head', 'held_since'}) do
    if process[field] == nil then return nil end
  end
  for i = 9, #w - 2, 3 do
    local row = id(w[i])
    local out, answered = num(w[i + 1], 0, MOST), num(w[i + 2], 0, MOST)
    if row and out and answered then process.out[row], process.answered[row] = out, answered end
  end
  return process
end

local meta, rows, processes, row_count, process_count = nil, {}, {}, 0, 0
local gone = {}

local stored = redis.pcall('HGETALL', KEYS[1])
if type(stored) ~= 'table' or stored.err or #stored > 2 * (MAX_ROWS + MAX_PROCESSES + 1) then
  redis.call('DEL', KEYS[1])
  stored = {}
end
for i = 1, #stored, 2 do
  local field, text = stored[i], stored[i + 1]
  local kind, name, kept = string.sub(field, 1, 2), id(string.sub(field, 3)), false
  if field == 'm' then
    meta, kept = load_meta(text), true
  elseif kind == 'r:' and name then
    local row = load_row(text)
    if row then rows[name], row_count, kept = row, row_count + 1, true end
  elseif kind == 'p:' and name then
    local process = load_process(text)
    if process then processes[name], process_count, kept = process, process_count + 1, true end
  end
  if not kept then gone[#gone + 1] = field end
end
if meta == nil or meta.epoch == 0 then
  meta = load_meta('')
  meta.epoch = now
end

-- A process that did not come back in time has lost its lease: what it sent is counted by now.

for name, process in pairs(processes) do
  if now > process.ends + GRACE and now > process.next + GRACE then
    for row, out in pairs(process.out) do
      if rows[row] then rows[row].settled = rows[row].settled + out end
    end
    if meta.probe_by == name then meta.probe_until = 0 end
    processes[name], process_count = nil, process_count - 1
    gone[#gone + 1] = 'p:' .. name
  else
    for row, out in pairs(process.out) do
      if rows[row] then rows[row].out = rows[row].out + out end
    end
  end
end

-- What the process says.

local me, sequence = id(ARGV[1]), num(ARGV[2], 0, MOST, 0)
if not me then return redis.error_reply('process: letters and digits are allowed') end
local known_epoch = num(ARGV[3], 0, now, 0)
local mine = processes[me]
if mine and sequence <= mine.sequence then return redis.error_reply('the command came late') end
if not mine then
  if process_count >= MAX_PROCESSES then return redis.error_reply('too many processes') end
  mine = {since = 0, next = now, ends = now, out = {}, answered = {}, wanted = 0, head = 0, held_since = 0}
  processes[me], process_count = mine, process_count + 1
  mine.is_new = true
end
mine.sequence, mine.seen = sequence, now
meta.closed = max(meta.closed, now + num(ARGV[4], 0, LONGEST, 0))
local is_doubted = ARGV[5] == '1'
local wanted, head = num(ARGV[7], 0, 1e9, 1), num(ARGV[8], 0, 1e9, 1)
local is_calm = num(ARGV[13], 0, 1e9, 0) == 0  -- nothing of the process is in flight

local function learn(row, remaining, base, sent, measured, nominal, window, refill)
  local lower, since = remaining + base + refill * (now - measured) / 1000, row.total
  local upper = remaining + row.settled + row.out + refill * max(0, now - sent) / 1000
  if since >= 0 then since = since + row.refill * (now - row.measured) / 1000 end
  local is_next = row.kind ~= 'b' and nominal > row.nominal + window / 2
  if since < 0 or is_next then
    row.total, row.strangers = lower, 0
  elseif sent < row.sent then
    if row.strangers == 0 and nominal + window / 2 > row.nominal then row.total = max(since, lower) end
  elseif refill > 0 then
    row.total = min(max(since, lower), upper)
  else
    if upper < since - 0.5 then row.strangers = 1 end
    row.total = row.strangers == 1 and lower or max(since, lower)
  end
  row.measured = now
end

local asked = {}
local at = 14
for _ = 1, min(num(ARGV[at], 0, MAX_ROWS, 0), MAX_ROWS) do
  local a = {}
  for i = 1, 20 do a[i] = ARGV[at + i] end
  at = at + 20
  local name = id(a[1])
  if name and (rows[name] or row_count < MAX_ROWS) then
    local row = rows[name]
    if not row then
      row = {kind = 'u', limit = 0, total = -1, sent = 0, measured = 0, nominal = 0,
        high = 0, kept = 0, pace = 0, refill = 0, reserve = 0, window = 0, cost = 1,
        settled = 0, trickle = 0, strangers = 0, out = 0}
      rows[name], row_count = row, row_count + 1
    end
    local flying, answered = num(a[2], 0, MOST, 0), num(a[3], 0, MOST, 0)
    local before = mine.out[name] or 0
    local since = mine.answered[name] or (mine.is_new and answered or 0)
    row.settled = row.settled + max(0, answered - since)
    row.out = row.out - before + flying
    mine.out[name], mine.answered[name] = flying, answered
    asked[name] = {want = num(a[4], 0, MOST, 1), need = num(a[5], 0, MOST, 1)}
    local base, sent = num(a[10], -1, MOST, -1), now - num(a[11], 0, LONGEST, 0)
    local remaining = num(a[9], 0, MOST)
    -- Evidence from before the process heard of this state counts only if nothing is left by it,
    -- or as the first of a state that is new, as after a failover to an empty store.
    if base < 0 or known_epoch ~= meta.epoch then
      local is_first = row.total < 0 and now - meta.epoch < YOUNG
      base = (is_first or remaining == 0) and row.settled or nil
    end
    if a[6] == '1' and remaining and base then
      learn(row, remaining, min(base, row.settled), sent, now - num(a[12], 0, LONGEST, 0),
        now + num(a[13], -LONGEST, LONGEST, 0), num(a[19], 0, LONGEST, 0), num(a[17], 0, 1e9, 0))
    end
    if a[6] == '1' and sent >= row.sent then
      local kind = string.match(a[7], '^[bcfil]$')
      row.kind = kind or row.kind
      row.limit, row.sent = num(a[8], 0, MOST, 0), max(0, sent)
      row.nominal = now + num(a[13], -LONGEST, LONGEST, 0)
      row.high = now + num(a[14], -LONGEST, LONGEST, 0)
      row.kept, row.pace = num(a[15], 0, 100, 0), num(a[16], 0, LONGEST, 0)
      row.refill, row.reserve = num(a[17], 0, 1e9, 0), num(a[18], 0, MOST, 0)
      row.window, row.cost = num(a[19], 0, LONGEST, 0), num(a[20], 1, MOST, 1)
      meta.free, meta.silent = 0, 0
      if sent >= meta.probe_sent then meta.probe_until = 0 end
    end
  end
end
for name, out in pairs(mine.out) do  -- of rows that it speaks of no more
  if not asked[name] and rows[name] then
    rows[name].settled, rows[name].out = rows[name].settled + out, rows[name].out - out
    mine.out[name] = nil
  end
end
if is_doubted then
  for _, row in pairs(rows) do row.total = -1 end
end
if ARGV[6] == '1' then
  meta.silent = meta.silent + 1
  if meta.silent >= SILENT then meta.free = now + FREE end
elseif ARGV[6] == '2' then  -- it failed: what else is known of the server is for each to judge
  meta.free = max(meta.free, now + LOOK)
end
if meta.probe_by == me and is_calm then meta.probe_until = 0 end

-- The rate of a server that limits in silence: one decrease for all who were refused at a pace.

local rate, version = num(ARGV[9], 0, 1e9, 0), num(ARGV[10], 0, MOST, 0)
if rate > 0 and (meta.rate == 0 or version == meta.version) then
  if ARGV[11] == '1' then meta.version, meta.rate = meta.version + 1, 0 end
  meta.rate, meta.ceiling = max(meta.rate, rate), num(ARGV[12], 0, 1e9, 0)
elseif rate == 0 and version == meta.version and version > 0 and ARGV[11] == '1' then
  meta.rate, meta.ceiling, meta.version = 0, 0, meta.version + 1
end

-- What may be granted.

local function left(row)
  local total = row.total
  if row.refill > 0 then
    total = min(row.limit + row.settled, total + row.refill * (now - row.measured) / 1000)
  end
  return floor(total - row.reserve - row.settled - row.out + 1e-6)
end

-- A few units are kept back until the window may have ended. From then on they go one at a time, as
-- probes: the first that meets the next window opens it. How long to wait, or nil, and until the next.
local function held(row, units, need)
  local kept, apart = row.kept, row.high - now
  if row.kind == 'c' or row.kind == 'i' or (row.kind == 'l' and row.pace > 0) then
    local free = now < row.nominal and units - kept or units
    if free >= need then return nil end
    if now >= row.trickle then return nil, row.pace * (units - need >= 1 and 1 or 2.5) end
    return now < row.nominal and min(row.nominal, row.trickle) - now or row.trickle - now
  end
  if units - kept >= need then return nil end
  if now < row.nominal then return row.nominal - now end
  local at = row.trickle
  if at < row.nominal then
    at = row.nominal + (units < kept and (row.high - row.nominal) / (units + 1) or 0)
  end
  if now >= at then return nil, apart / max(1, units) end
  return at - now
end

local active = {}
for name, process in pairs(processes) do
  if name ~= me and process.wanted > 0 and process.next + ACTIVE >= now then
    active[#active + 1] = process
  end
end

local function level(units, own, row)  -- max-min fair share of some units
  local wants, equal = {own}, row.limit / (#active + 1)
  for _, process in ipairs(active) do
    local want = process.wanted * row.cost
    wants[#wants + 1] = process.since > 0 and max(want, equal) or want  -- it was held back
  end
  table.sort(wants)
  local rest, n = units, #wants
  for i, want in ipairs(wants) do
    local share = rest / (n - i + 1)
    if want >= share then return share end
    rest = rest - want
  end
  return own
end

local function patiently(row, ms)  -- what is not known to be a window may give units back sooner
  return row.kind == 'f' and ms or min(ms, LOOK)
end

local since = mine.since > 0 and mine.since or now
local granted, is_probe, retry = {}, false, nil
local is_free = meta.free > now
local share, needs_probe, is_known, is_sole = 1, false, false, false

local function wait(ms) retry = max(retry or 0, ms) end

for name, row in pairs(rows) do
  if row.total >= 0 then
    is_known = true
    local ask = asked[name] or {want = wanted * row.cost, need = head * row.cost}
    local need = row.limit > 0 and min(ask.need, row.limit) or ask.need
    local want = max(ask.want, need)
    ask.need, ask.want = need, want
    asked[name] = ask
    local units = left(row)
    local free = units - row.kept
    if need == 0 then
      -- it only reports
    elseif units < need and row.refill > 0 then
      wait((need - units) * 1000 / row.refill + 2)
    elseif units < need and now >= row.high then
      needs_probe = true
    elseif units < need then
      local is_open = row.out > 0 or now >= row.nominal  -- another's response may show more
      wait(is_open and min(POLL, row.high - now + 1) or patiently(row, row.high - now + 1))
    else
      local again, apart = held(row, units, need)
      if again then
        wait(now < row.nominal and patiently(row, again) or min(again, POLL))
      elseif apart then
        want, ask.want, ask.trickles, is_sole = need, need, apart, true
      end
      if not again then free = max(free, need) end
    end
    if need > 0 and units >= need and free >= need and not needs_probe then
      local before = 0  -- what those are to have who asked first
      for _, process in ipairs(active) do
        if process.since > 0 and process.since < since then
          before = before + process.head * row.cost
        end
      end
      local fair = min(want, max(floor(level(free, want, row)), 0))
      if fair < need then fair = free - before >= need and need or 0 end
      if fair == 0 then wait(POLL) end
      share = min(share, fair / want)
    end
  end
end
if not is_known and not is_free and head > 0 then needs_probe = true end
if meta.closed > now then wait(meta.closed - now) end
if head == 0 then
  share = 0
elseif retry == nil and needs_probe then
  if now < meta.probe_until then
    wait(POLL)
  else
    is_probe = true
    meta.probe_until, meta.probe_sent, meta.probe_by = now + PROBED, now, me
  end
end

local lease = MAX_LEASE
for name, row in pairs(rows) do
  local ask = asked[name]
  local units = 0
  if retry == nil and head > 0 and ask and row.total >= 0 then
    units = is_probe and ask.need or max(ask.need, floor(ask.want * share))
    row.out = row.out + units
    mine.out[name] = (mine.out[name] or 0) + units
    mine.answered[name] = mine.answered[name] or 0
    if ask.trickles then row.trickle = now + ask.trickles end
  end
  granted[name] = units
  if row.window > 0 then lease = max(MIN_LEASE, min(lease, floor(row.window / 10))) end
end
local is_granted = retry == nil and head > 0
if head > 0 then mine.wanted, mine.head = wanted, head end
if is_granted then
  if mine.held_since == 0 or mine.ends + GRACE < now then mine.held_since = now end
  mine.since, mine.ends, mine.next = 0, now + lease, now + lease
elseif head > 0 then
  retry = min(max(1, retry), LONGEST)
  mine.since, mine.next = since, now + retry
  mine.ends = min(mine.ends, now)
else
  mine.next, mine.wanted, mine.head = now, 0, 0
end

-- What the store keeps, and what it says.

local keep = 60000
local fields = {'m', table.concat({shown(meta.epoch), shown(meta.closed), shown(meta.free),
  shown(meta.silent), shown(meta.rate), shown(meta.version), shown(meta.ceiling),
  shown(meta.probe_until), shown(meta.probe_sent), meta.probe_by}, ' ')}
local count, answer = 0, {}
for name, row in pairs(rows) do
  if row.total < 0 and row.out == 0 and not asked[name] then
    gone[#gone + 1] = 'r:' .. name
  else
    fields[#fields + 1] = 'r:' .. name
    fields[#fields + 1] = table.concat({row.kind, shown(row.limit), shown(row.total),
      shown(row.sent), shown(row.measured), shown(row.nominal),
      shown(row.high), shown(row.kept), shown(row.pace), shown(row.refill), shown(row.reserve),
      shown(row.window), shown(row.cost), shown(row.settled), shown(row.trickle),
      shown(row.strangers)}, ' ')
    keep = max(keep, row.high - now + 60000)
    if row.total >= 0 then
      count = count + 1
      local others = row.settled - (mine.answered[name] or 0)
      for _, each in ipairs({name, shown(granted[name] or 0), shown(others), shown(left(row)),
        shown(row.cost)}) do
        answer[#answer + 1] = each
      end
    end
  end
end
local said = {shown(mine.sequence), shown(mine.seen), shown(mine.since), shown(mine.next),
  shown(mine.ends), shown(mine.wanted), shown(mine.head), shown(mine.held_since)}
for name, out in pairs(mine.out) do
  said[#said + 1], said[#said + 2], said[#said + 3] = name, shown(out), shown(mine.answered[name] or 0)
end
fields[#fields + 1], fields[#fields + 2] = 'p:' .. me, table.concat(said, ' ')
if #gone > 0 then
  for i = 1, #gone, 500 do redis.call('HDEL', KEYS[1], unpack(gone, i, min(i + 499, #gone))) end
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('PEXPIRE', KEYS[1], shown(min(max(keep, meta.closed - now + 60000), LONGEST + 60000)))

local reply = {is_granted and '1' or '0', shown(meta.epoch), shown(lease), shown(process_count),
  shown(max(0, meta.closed - now)), shown(retry or 0), is_free and '1' or '0', is_probe and '1' or is_granted and is_sole and '2' or '0',
  shown(meta.rate), shown(meta.version), shown(meta.ceiling), shown(count)}
for _, each in ipairs(answer) do reply[#reply + 1] = each end
return reply
