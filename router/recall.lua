-- What is known of the deepest of some places in a conversation. Changes nothing.
-- ARGV: digests of the places, the deepest first. Answers {which one, its entry, the entry that it goes on from if any}.
for place, digest in ipairs(ARGV) do
  local entry = redis.call('GET', KEYS[1] .. digest)
  if entry then
    local base = string.sub(entry, 2, 17)
    if base == string.rep('\0', 16) then return {place, entry} end
    local whole = redis.call('GET', KEYS[1] .. base)
    if whole then return {place, entry, whole} end
  end
end
return {}
