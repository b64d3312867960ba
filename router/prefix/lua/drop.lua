-- DROPPED, one slice of the chain: takes back the pending record with this id, and no other.
-- ARGV: name, heads and blocks of the slice, id
local number = call('HGET', NAMES, ARGV[1])
if not number then return 0 end
about(ARGV[2], ARGV[3])
local id, found = tonumber(ARGV[4]), 0
for at = 0, total - 1, S do
  for _, node in ipairs(path(at, min(at + S, total))) do
    local pieces, pendings = parse(call('HGET', node[1], number))
    local others = {}
    for _, each in ipairs(pendings) do
      if each[2] ~= id then others[#others + 1] = each end
    end
    if #others < #pendings then
      found = 1
      store(node[1], number, pieces, others)
      if call('HLEN', node[1]) == 1 then call('DEL', node[1]) end
    end
  end
end
return found
