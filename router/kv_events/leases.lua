-- Take or renew the leases on workers' events: one router listens to each worker for all. Answers a "1" for each lease
-- that this router has now, a "0" for each that another one has.
-- KEYS[1]: what the keys begin with. ARGV: this router, lifetime (ms), a worker's id each.
local life = tonumber(ARGV[2])
local answer = {}
for index = 3, #ARGV do
  local key = KEYS[1] .. ARGV[index]
  local holder = redis.pcall('GET', key)
  local other = type(holder) == 'string' and holder ~= ARGV[1]
  if other then
    local left = redis.call('TTL', key) * 1000
    other = left >= 0 and left <= life -- another hand's key that would stay for longer is taken over
  end
  if not other then redis.call('SET', key, ARGV[1], 'PX', life) end
  answer[#answer + 1] = other and '0' or '1'
end
return table.concat(answer)
