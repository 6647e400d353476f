-- Read what is kept of one scope, for `status`; nothing is written. Lua 5.1; Redis >= 7, Valkey >= 8.
--
-- KEYS[1] is a hash as `lease.lua` keeps it. Returns: the store's milliseconds, then each field and
-- its value.

local MOST = 2 * (16 + 1024 + 1)
local time = redis.call('TIME')
local found = redis.call('HGETALL', KEYS[1])
if #found > MOST then return redis.error_reply('too many fields') end
local reply = {string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))}
for i = 1, #found do reply[i + 1] = found[i] end
return reply
