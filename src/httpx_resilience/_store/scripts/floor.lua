-- Grant tokens of a retry budget's floor, of which a fleet has one. Lua 5.1; Redis >= 7, Valkey >= 8.
--
-- KEYS[1] is a hash of one origin: t (tokens), f (when a process failed last, in milliseconds).
-- ARGV: floor heal_after wanted; seconds that nobody may fail for until the floor is whole again,
-- in milliseconds. Whoever asks has failed. Returns: the tokens that are granted.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function num(text, low, high, default)
  local n = tonumber(text)
  if n == nil or n ~= n or n < low or n > high then return default end
  return n
end

local whole, heal, wanted = num(ARGV[1], 0, 1e6, 0), num(ARGV[2], 0, 86400000, 0), num(ARGV[3], 0, 1e6, 0)
local stored = redis.pcall('HMGET', KEYS[1], 't', 'f')
if stored.err then
  redis.call('DEL', KEYS[1])
  stored = {}
end
local tokens, failed = num(stored[1], 0, whole, whole), num(stored[2], 0, now, 0)
if now - failed >= heal then tokens = whole end
local granted = tokens + 1e-9 >= wanted and wanted or 0
redis.call('HSET', KEYS[1], 't', string.format('%.6f', math.max(0, tokens - granted)),
  'f', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', heal + 60000))
return {string.format('%.6f', granted)}
