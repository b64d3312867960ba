-- PENDING, one slice of the chain: these blocks are being prefilled there.
-- ARGV: name, blocks of the slice, number of its first block, id, when it expires, 1 if new nodes may be made, ttl,
--       default capacity, steps
local chain, first, ttl = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[7])
open(ARGV[1], tonumber(ARGV[8]), tonumber(ARGV[9]))
local blocks = #chain / 8
for at = floor((blocks - 1) / S) * S, 0, -S do
  for _, node in ipairs(grown(chain, at, min(at + S, blocks), ARGV[6] == '1')) do
    local pieces, pendings = parse(node[4])
    if #pendings < 64 then -- more than that tells nobody anything new
      pendings[#pendings + 1] = {node[3], tonumber(ARGV[4]), tonumber(ARGV[5])}
    end
    store(node[1], number, pieces, pendings)
    local lives = max(ttl + 600 - floor((first + node[2]) / S), call('TTL', node[1]))
    call('EXPIRE', node[1], lives)
    if not node[4] then tidy(node[1]) end
  end
end
close(ttl, 0)
return {tonumber(number), refused, 0, call('HGET', NAMES, '#epoch')}
