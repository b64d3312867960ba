-- CORRECTED, one slice of the predicted chain: of it only the first `kept` blocks are held, and nothing behind them.
-- What hangs below in other chains cannot be found from here: it is older than the correction's stamp, and `match`
-- looks at the whole path of what is.
-- ARGV: name, heads and blocks of the slice, number of its first block, kept (of the slice), ttl
if not call('HGET', NAMES, ARGV[1]) then return 0 end
open(ARGV[1], 0, 1)
about(ARGV[2], ARGV[3])
local first, kept, removed = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
for at = floor(kept / S) * S, total - 1, S do
  for _, node in ipairs(path(at, min(at + S, total))) do
    local key, start, common = node[1], first + node[2], node[3]
    local limit = max(0, kept - node[2])
    local pieces, pendings = parse(call('HGET', key, number))
    local left, from = {}, 0
    for _, piece in ipairs(pieces) do
      local stop, behind, base = piece[1], piece[2], piece[3]
      if limit >= common or stop <= limit then
        left[#left + 1] = piece
      else
        removed = 1
        count(base - start - stop - behind + 1, base - start - max(from, limit), -1)
        if from < limit then left[#left + 1] = {limit, 0, base} end
      end
      from = stop
    end
    if #pieces > 0 then store(key, number, left, pendings) end
  end
end
if removed == 1 then
  cut = clock
  horizon_moved = true
end
close(tonumber(ARGV[6]), 64)
return removed
