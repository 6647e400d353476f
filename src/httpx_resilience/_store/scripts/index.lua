-- Keep the list of a namespace's scopes, which `status` reads. Lua 5.1; Redis >= 7, Valkey >= 8.
--
-- KEYS[1] is a sorted set: a scope's key, by the store's seconds when a process last used it.
-- ARGV: keys of scopes; none to read only. Returns: the keys used within the last hour, the latest
-- first.

local TTL, MOST = 3600, 10000
local now = tonumber(redis.call('TIME')[1])

if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
for i = 1, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - TTL))
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -MOST - 1)
if #ARGV > 0 then
  redis.call('PEXPIRE', KEYS[1], TTL * 1000)
  return {}
end
return redis.call('ZREVRANGE', KEYS[1], 0, -1)
