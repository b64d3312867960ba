-- Write one entry, if what lies there is still what was seen there: no newer entry is lost.
-- KEYS[1]: the hash of entries. ARGV: worker, entry, what was seen ("" for nothing), lifetime (ms).
local there = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if there ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
