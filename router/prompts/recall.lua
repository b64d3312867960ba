-- What is known of the deepest of some places in a conversation. What is no string, or too long, is deleted.
-- ARGV: most bytes of an entry, digests of the places, the deepest first. Answers {which one, its entry, the entry that it
-- goes on from if any}.
local HEAD, NO_BASE = 37, string.rep('\0', 16) -- an entry's MAC (16 bytes), version, base (16 bytes) and tokens

local function entry_of(digest)
  local key = KEYS[1] .. digest
  local size = redis.pcall('STRLEN', key)
  if type(size) == 'table' or size > tonumber(ARGV[1]) then
    redis.call('DEL', key)
  elseif size >= HEAD then
    return redis.call('GET', key)
  end
end

for place = 2, #ARGV do
  local entry = entry_of(ARGV[place])
  if entry then
    local base = string.sub(entry, 18, 33)
    if base == NO_BASE then return {place - 1, entry} end
    local whole = entry_of(base)
    if whole then return {place - 1, entry, whole} end
  end
end
return {}
