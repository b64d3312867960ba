-- One holder's clock, capacity, and how many of its blocks were last touched when: what writing scripts share.
--
-- The clock counts touched blocks. `names` gives each name a number, never used twice; `live` gives each number its
-- horizon, its last correction and its name: a holder that is not in it is dead, with all that it has. `h:NUMBER` holds
-- clock, cap, res (blocks alive), width, and counts of alive blocks by stamp / width.
local clock, capacity, resident, width, horizon, cut, number, horizon_moved
local moved = {}

local function allocate(name)
  local time = call('TIME') -- numbers begin at the time in 0.1 ms: even if `names` is lost, none is given twice
  call('HSETNX', NAMES, '#epoch', time[1] .. time[2])
  call('HSETNX', NAMES, '#last', time[1] .. string.format('%04d', floor(time[2] / 100)))
  local fresh
  repeat
    spend()
    local last = call('HINCRBY', NAMES, '#last', 1)
    if not whole(last, MOST) then error('unsound') end
    fresh = string.format('%.0f', last)
  until call('EXISTS', HOLDER .. fresh) == 0
  for _, other in ipairs(call('HRANDFIELD', NAMES, 2)) do -- also forget holders that have been idle for too long
    local old = sub(other, 1, 1) ~= '#' and call('HGET', NAMES, other)
    if old and call('EXISTS', HOLDER .. old) == 0 then
      call('HDEL', NAMES, other)
      call('HDEL', LIVE, old)
    end
  end
  local before = call('HGET', NAMES, name)
  if before then call('HDEL', LIVE, before) end
  call('HSET', NAMES, name, fresh)
  call('HSET', LIVE, fresh, pack('>I6I6', 0, 0) .. name)
  return fresh
end

-- Load the holder `name`, made if there is none. `defaults`: capacity, and how many steps a capacity is counted in.
local function open(name, blocks, steps)
  number = call('HGET', NAMES, name)
  local state = number and call('HMGET', HOLDER .. number, 'clock', 'cap', 'res', 'width') or {}
  local live = number and call('HGET', LIVE, number)
  local known = live and sound_live(live) and whole(state[4] or 0, MOST) or 0
  for at = 1, 3 do known = whole(state[at] or -1, MOST) and known or 0 end
  if known < 1 or read('>I6', live) > tonumber(state[1]) then
    number = allocate(name)
    state = {0, blocks, 0, max(1, floor(blocks / steps))}
    live = pack('>I6I6', 0, 0)
    call('HSET', HOLDER .. number, 'clock', 0, 'cap', blocks, 'res', 0, 'width', state[4])
  end
  clock, capacity, resident, width = tonumber(state[1]), tonumber(state[2]), tonumber(state[3]), tonumber(state[4])
  horizon, cut = read('>I6I6', live)
end

-- Count the alive ones of the stamps from `low` to `high`, `sign` times.
local function count(low, high, sign)
  low = max(low, horizon + 1)
  while low <= high do
    spend()
    local bucket = floor(low / width)
    local stop = min(high, bucket * width + width - 1)
    moved[bucket] = (moved[bucket] or 0) + sign * (stop - low + 1)
    resident = resident + sign * (stop - low + 1)
    low = stop + 1
  end
end

-- Raise the horizon until what is alive fits the capacity, a bounded step at a time; true when more is left to do.
local function evict(key, limit)
  local bucket = floor((horizon + 1) / width)
  local last = floor(clock / width)
  while resident > capacity and limit > 0 and bucket <= last do
    local asked = {}
    for ahead = 0, min(limit, 32, last - bucket + 1) - 1 do asked[ahead + 1] = bucket + ahead end
    local counts = call('HMGET', key, unpack(asked))
    for ahead = 1, #asked do
      local alive = tonumber(counts[ahead] or 0)
      local excess = resident - capacity
      if excess <= 0 then break end
      limit = limit - 1
      horizon_moved = true
      if alive <= excess then
        resident = resident - alive
        horizon = min(clock, bucket * width + width - 1)
        if alive > 0 then call('HDEL', key, bucket) end
        bucket = bucket + 1
      else -- of its stamps the same share goes
        local low, stop = max(horizon + 1, bucket * width), min(clock + 1, bucket * width + width)
        horizon = low + ceil((stop - low) * excess / alive) - 1
        resident = capacity
        call('HINCRBY', key, bucket, -excess)
      end
    end
  end
  return resident > capacity and bucket <= last
end

-- Write the holder back; true when its eviction is not finished.
local function close(ttl, limit)
  local key = HOLDER .. number
  for bucket, change in pairs(moved) do
    local alive = change ~= 0 and call('HINCRBY', key, bucket, change) or 1
    if alive <= 0 then
      call('HDEL', key, bucket)
      resident = resident - alive -- never less than none, where a step was divided by estimate
    end
  end
  local more = evict(key, limit)
  call('HSET', key, 'clock', clock, 'cap', capacity, 'res', max(0, resident))
  call('EXPIRE', key, ttl)
  call('EXPIRE', NAMES, ttl * 2)
  call('EXPIRE', LIVE, ttl * 2)
  if horizon_moved then call('HSET', LIVE, number, pack('>I6I6', horizon, cut) .. ARGV[1]) end
  return more
end
