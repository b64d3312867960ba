-- Read what routers have told of sessions since a position, and tell something. Both happen at once, so that a batch
-- which takes room can be refused if another one has taken some since.
-- Answers {id of the first entry or '', position from now on, 1 if the batch was written, 1 if there is more to read,
-- and of each entry of another router: its id, the router, the batch}.
-- KEYS[1]: the stream. ARGV: this router, position ('' for the end), the batch ('' for none), '1' if it takes room, most
-- entries to read, most bytes of a batch, most bytes of all, entries that are kept, lifetime (ms).
local key, name, position, batch = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local answer, total, free, more = {'', position, 0, 0}, 0, true, false

local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
if first[1] then answer[1] = first[1][1] end
if position == '' then
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  answer[2] = last[1] and last[1][1] or '0-0'
else
  local entries = redis.call('XRANGE', key, '(' .. position, '+', 'COUNT', ARGV[5] + 1)
  for place, entry in ipairs(entries) do
    local words = entry[2]
    local router, text = words[2] or '', words[4] or ''
    local counts = router ~= name and #router <= 32 and #text <= tonumber(ARGV[6])
    if counts then total = total + #text end
    if place > tonumber(ARGV[5]) or total > tonumber(ARGV[7]) then
      more = true
      break
    end
    answer[2] = entry[1]
    if router ~= name and words[6] == '1' then free = false end
    if counts then
      answer[#answer + 1] = entry[1]
      answer[#answer + 1] = router
      answer[#answer + 1] = text
    end
  end
end

local function add()
  return redis.pcall('XADD', key, 'MAXLEN', '~', ARGV[8], '*', 'r', name, 'b', batch, 't', ARGV[4])
end

if batch ~= '' and (ARGV[4] ~= '1' or (free and not more)) then
  local id = add()
  if type(id) == 'table' then -- another hand has given the stream the highest of all ids
    redis.call('DEL', key)
    id = add()
    if type(id) == 'table' then return id end
  end
  if not more then answer[2] = id end
  answer[3] = 1
  redis.call('PEXPIRE', key, ARGV[9])
end
if more then answer[4] = 1 end
return answer
