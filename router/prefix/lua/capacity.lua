-- Set a holder's capacity, or, with -1, go on evicting.
-- ARGV: name, capacity, ttl, steps
local wanted, ttl, steps = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if wanted < 0 and not call('HGET', NAMES, ARGV[1]) then return {0, 0, 0, ''} end
open(ARGV[1], max(0, wanted), steps)
if wanted >= 0 then
  capacity = wanted
  local wider = max(1, floor(wanted / steps))
  if wider > 2 * width or wider * 2 < width then -- count in steps that suit it: spread what each step held evenly
    local key = HOLDER .. number
    local counts, coarse = call('HGETALL', key), width
    width = wider
    for place = 1, #counts, 2 do
      local bucket, alive = whole(counts[place], MOST), whole(counts[place + 1], MOST)
      if bucket and alive then
        call('HDEL', key, bucket)
        local low = max(bucket * coarse, horizon + 1)
        local span, given = bucket * coarse + coarse - low, 0
        while span > 0 and given < alive do
          spend()
          local into = floor(low / width)
          local stop = min(into * width + width, bucket * coarse + coarse)
          local share = stop == bucket * coarse + coarse and alive - given or floor(alive * (stop - low) / span)
          moved[into] = (moved[into] or 0) + share
          given = given + share
          low = stop
        end
      end
    end
    call('HSET', key, 'width', width)
  end
end
local more = close(ttl, 64)
return {tonumber(number), 0, more and 1 or 0, call('HGET', NAMES, '#epoch')}
