-- CONFIRMED, one slice of the chain: the holder has these blocks, and they are its newest.
-- A chain is written from its tail to its head, so that the head's stamps are the highest whatever comes between.
-- ARGV: name, heads and blocks of the slice, number of its first block, 1 if it is the chain's end, generated blocks,
--       pending id to take back, 1 if new nodes may be made, ttl, default capacity, steps
about(ARGV[2], ARGV[3])
local first, is_end = tonumber(ARGV[4]), ARGV[5] == '1'
local generated, id, ttl = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[9])
local blocks = total
open(ARGV[1], tonumber(ARGV[10]), tonumber(ARGV[11]))

local kept = {}
for at = floor((blocks - 1) / S) * S, 0, -S do
  local stop = min(at + S, blocks)
  local nodes = grown(at, stop, ARGV[8] == '1')
  if refused == 1 then
    is_end, kept, refused = false, {}, 2 -- what lies behind a refused part cannot be reached
    blocks = at
    if #nodes > 0 then blocks = nodes[#nodes][2] + nodes[#nodes][3] end
  end
  for place = #nodes, 1, -1 do kept[#kept + 1] = nodes[place] end
end

-- What was there leaves the counts; what it had beyond the touched blocks stays as it was.
local written = {}
for place, node in ipairs(kept) do
  local key, start, touched = node[1], first + node[2], node[3]
  local pieces, pendings = parse(node[4])
  local last = place == 1 and is_end
  local rest, from, output = {}, 0, 0
  for _, piece in ipairs(pieces) do
    local stop, behind, base = piece[1], piece[2], piece[3]
    count(base - start - min(stop, touched) + 1, base - start - from, -1)
    if stop > touched then
      rest[#rest + 1] = piece
    elseif behind > 0 then
      count(base - start - stop - behind + 1, base - start - stop, -1)
      local alive = base - start - stop - horizon -- the output's last blocks may have been evicted since
      if last and stop == touched and generated == 0 then output = max(0, min(behind, alive)) end
    end
    from = min(stop, touched)
  end
  if last then generated = max(generated, output) end
  local others = {}
  for _, each in ipairs(pendings) do
    if each[2] ~= id then others[#others + 1] = each end
  end
  written[place] = {key, touched, rest, others, not node[4], node[2]}
end

local base = clock + generated + first + blocks
if not is_end then generated = 0; base = clock + first + blocks end
count(clock + 1, clock + generated + blocks, 1)
clock = clock + generated + blocks
for place, node in ipairs(written) do
  local pieces = {{node[2], place == 1 and generated or 0, base}}
  for _, piece in ipairs(node[3]) do pieces[#pieces + 1] = piece end
  store(node[1], number, pieces, node[4])
  call('EXPIRE', node[1], ttl + max(0, 600 - floor((first + node[6]) / S)))
  if node[5] then tidy(node[1]) end
end
local more = close(ttl, 64)
return {tonumber(number), refused, more and 1 or 0, call('HGET', NAMES, '#epoch')}
