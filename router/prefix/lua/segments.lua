-- Shared by all scripts of the prefix index; put before each of them.
--
-- A chain is cut every S blocks into segments. Of a segment scripts get the hash of its first block, which stands for all
-- of the prefix before it (8 bytes: its head), and of each block the first 4 bytes: enough to tell the few chains apart
-- that begin with the same head, and every byte that Lua is given costs a nanosecond. A node is a stretch of blocks, at
-- most to the next cut, in one hash. Its key ends in the segment's head, and if it does not begin there, in its first
-- block's 4 bytes. Field 'v' of a node is its row: the 4 bytes of each of its blocks. Where a chain leaves the row, its
-- rest is another node. Every other field is a holder's number, and its value what that holder has of the row, from the
-- first block on:
--   byte: how many pieces; pieces: end (byte), generated blocks behind it (2 bytes), base (6 bytes);
--   then pending records: end (byte), id (6 bytes), when it expires in seconds (6 bytes).
-- Block i of the chain was touched at stamp base - i, and is alive while that is above the holder's horizon. Bases of
-- later pieces are lower, so heads outlive tails.
local S = 128
local WIDE = 16
local ROOT = KEYS[1]
local NAMES, LIVE, SEGMENT, HOLDER = ROOT .. 'names', ROOT .. 'live', ROOT .. 's:', ROOT .. 'h:'
local call, sub, floor, ceil, min, max = redis.call, string.sub, math.floor, math.ceil, math.min, math.max
local pack, read = struct.pack, struct.unpack
local MOST = 2 ^ 48 -- no number here is higher
local MAX_PENDINGS, MAX_FIELDS = 64, 20000
local MAX_VALUE, MAX_LIVE = 1 + 9 * S + 13 * MAX_PENDINGS, 12 + 64 -- bytes

-- The number that a text is; nil where it is no whole one from 0 to `most`.
local function whole(text, most)
  local number = tonumber(text)
  return number and number >= 0 and number <= most and number == floor(number) and number or nil
end

-- Is it a holder's horizon, last correction and name?
local function sound_live(live)
  return #live > 12 and #live <= MAX_LIVE and string.find(live, '^[%w._:-]+$', 13) ~= nil
end

-- Is it what a script wrote of a holder in a node?
local function sound(value)
  if #value == 0 or #value > MAX_VALUE then return false end
  local pieces = read('B', value)
  local rest = #value - 1 - 9 * pieces
  if rest < 0 or rest % 13 ~= 0 then return false end
  local before, at, stop = 0, 2, 0
  for _ = 1, pieces do
    stop, _, _, at = read('>BHI6', value, at)
    if stop <= before or stop > S then return false end
    before = stop
  end
  return true
end

local left = 300000 -- steps of loops that another hand's numbers could make endless
local function spend()
  left = left - 1
  if left < 0 then error('too many steps') end
end

local heads, row_of, total = '', '', 0 -- the chain, or slice of one, that the script is about

local function about(all_heads, all_blocks)
  heads, row_of, total = all_heads, all_blocks, #all_blocks / 4
end

local function key_of(at)
  local before = floor(at / S) * 8
  local key = SEGMENT .. sub(heads, before + 1, before + 8)
  return at % S == 0 and key or key .. sub(row_of, at * 4 + 1, at * 4 + 4)
end

-- How many blocks `row` shares with the chain from block `at` to `stop`. Each hash covers all before it: one that is the
-- same at both ends says so of all between, and bisection is exact.
local function shared(row, at, stop)
  local low, high = 0, min(floor(#row / 4), stop - at)
  local mid = high
  while low < high do
    local ends = (at + mid) * 4
    if sub(row, mid * 4 - 3, mid * 4) == sub(row_of, ends - 3, ends) then low = mid else high = mid - 1 end
    mid = ceil((low + high) / 2)
  end
  return low
end

-- The chain's nodes from block `at` to `stop`, which lie in one segment: {key, first block, blocks in common}.
local function path(at, stop)
  local nodes = {}
  while at < stop do
    local key = key_of(at)
    local row = call('HGET', key, 'v')
    local blocks = row and shared(row, at, stop) or 0
    if blocks == 0 then break end
    nodes[#nodes + 1] = {key, at, blocks}
    at = at + blocks
  end
  return nodes
end

local function parse(value)
  local pieces, pendings = {}, {}
  if value then
    if #value > MAX_VALUE then error('unsound') end
    local count, at = read('B', value)
    for number = 1, count do
      local stop, generated, base
      stop, generated, base, at = read('>BHI6', value, at)
      pieces[number] = {stop, generated, base}
    end
    while at <= #value do
      local stop, id, expires
      stop, id, expires, at = read('>BI6I6', value, at)
      pendings[#pendings + 1] = {stop, id, expires}
    end
  end
  return pieces, pendings
end

local function store(key, number, pieces, pendings)
  if #pieces == 0 and #pendings == 0 then
    call('HDEL', key, number)
    return
  end
  local parts = {pack('B', #pieces)}
  for _, piece in ipairs(pieces) do parts[#parts + 1] = pack('>BHI6', piece[1], piece[2], piece[3]) end
  for _, each in ipairs(pendings) do parts[#parts + 1] = pack('>BI6I6', each[1], each[2], each[3]) end
  call('HSET', key, number, table.concat(parts))
end
