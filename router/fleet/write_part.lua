-- Write one router's part and tell which routers live, by the server's own clock: routers' clocks do not matter.
-- What another hand made of the keys is put right: a key of another type is deleted, and so is a string too long to be
-- read; a date in the future, and a name that is none, are taken out. Answers {now (ms), name...}, the newest last.
-- KEYS[1]: the sorted set of routers, by their last writing (ms). ARGV: this router, lifetime (ms), the part, what the
-- keys of parts and of clients' use begin with, most routers, most bytes of a string, most bytes of all parts.
local name, life = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', ARGV[4] .. name, ARGV[3], 'PX', life)
local added = redis.pcall('ZADD', KEYS[1], now, name)
if type(added) == 'table' then
  if not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], now, name)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - life)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1, '+inf')
redis.call('PEXPIRE', KEYS[1], life * 10)

local function size(key) -- 0 for what is no string, or was too long
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'table' then return 0 end
  if length <= tonumber(ARGV[7]) then return length end
  redis.call('DEL', key)
  return 0
end

local answer, total = {now}, 0
for _, other in ipairs(redis.call('ZRANGE', KEYS[1], -ARGV[6], -1)) do
  if #other > 32 or not string.find(other, '^%w+$') then
    redis.call('ZREM', KEYS[1], other)
  elseif other ~= name then
    total = total + size(ARGV[4] .. other)
    size(ARGV[5] .. other)
    if total > tonumber(ARGV[8]) then break end
    answer[#answer + 1] = other
  end
end
return answer
