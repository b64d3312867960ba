-- Write one router's part and tell which routers live, by the server's own clock: routers' clocks do not matter.
-- KEYS[1]: the sorted set of routers, by their last writing (ms). ARGV: this router, lifetime (ms), the part, its key.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', ARGV[4], ARGV[3], 'PX', ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 10)
return redis.call('ZRANGE', KEYS[1], 0, -1)
