-- Shared by all scripts of the prefix index; put before each of them.
--
-- A chain is cut every S blocks. A node is a stretch of blocks, at most to the next cut, in one hash whose key ends in
-- the hash of its first block, which stands for all of the prefix before it. Field 'v' of a node is its row: the hashes
-- of its blocks. Where a chain leaves the row, its rest is another node. Every other field is a holder's number, and its
-- value what that holder has of the row, from the first block on:
--   byte: how many pieces; pieces: end (byte), generated blocks behind it (2 bytes), base (6 bytes);
--   then pending records: end (byte), id (6 bytes), when it expires in seconds (6 bytes).
-- Block i of the chain was touched at stamp base - i, and is alive while that is above the holder's horizon. Bases of
-- later pieces are lower, so heads outlive tails.
local S = 32
local WIDE = 16
local ROOT = KEYS[1]
local NAMES, LIVE, SEGMENT, HOLDER = ROOT .. 'names', ROOT .. 'live', ROOT .. 's:', ROOT .. 'h:'
local call, sub, floor, ceil, min, max = redis.call, string.sub, math.floor, math.ceil, math.min, math.max
local pack, read = struct.pack, struct.unpack

local function key_of(chain, at)
  return SEGMENT .. sub(chain, at * 8 + 1, at * 8 + 8)
end

-- How many blocks `row` shares with `chain` from block `at` to `stop`. Each hash covers all before it: bisection is
-- exact.
local function shared(row, chain, at, stop)
  local wanted = sub(chain, at * 8 + 1, stop * 8)
  if sub(row, 1, #wanted) == wanted then return stop - at end
  if sub(wanted, 1, #row) == row then return #row / 8 end
  local low, high = 0, min(#row, #wanted) / 8
  while low < high do
    local mid = floor((low + high) / 2)
    if sub(row, mid * 8 + 1, mid * 8 + 8) == sub(wanted, mid * 8 + 1, mid * 8 + 8) then low = mid + 1 else high = mid end
  end
  return low
end

-- The nodes of `chain` from block `at` to `stop`, which lie in one segment: {key, first block, blocks in common}.
local function path(chain, at, stop)
  local nodes = {}
  while at < stop do
    local key = key_of(chain, at)
    local row = call('HGET', key, 'v')
    local blocks = row and shared(row, chain, at, stop) or 0
    if blocks == 0 then break end
    nodes[#nodes + 1] = {key, at, blocks}
    at = at + blocks
  end
  return nodes
end

local function parse(value)
  local pieces, pendings = {}, {}
  if value then
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
