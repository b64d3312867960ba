-- PENDING, one slice of the chain: these blocks are being prefilled there.
-- ARGV: name, heads and blocks of the slice, number of its first block, id, when it expires, 1 if new nodes may be made, ttl,
--       default capacity, steps
about(ARGV[2], ARGV[3])
local first, ttl = tonumber(ARGV[4]), tonumber(ARGV[8])
open(ARGV[1], tonumber(ARGV[9]), tonumber(ARGV[10]))
for at = floor((total - 1) / S) * S, 0, -S do
  for _, node in ipairs(grown(at, min(at + S, total), ARGV[7] == '1')) do
    local pieces, pendings = parse(node[4])
    if #pendings < MAX_PENDINGS then -- more than that add no information
      pendings[#pendings + 1] = {node[3], tonumber(ARGV[5]), tonumber(ARGV[6])}
    end
    store(node[1], number, pieces, pendings)
    local lives = max(ttl + 600 - floor((first + node[2]) / S), min(call('TTL', node[1]), ttl + 600))
    call('EXPIRE', node[1], lives)
    if not node[4] then tidy(node[1]) end
  end
end
close(ttl, 0)
return {tonumber(number), refused, 0, call('HGET', NAMES, '#epoch')}
