-- Forget all that a holder has, at once: its number dies, and the next record gives its name a new one.
-- With an expected number it does so only while that is still the holder's: of many routers that notice one restart, the
-- first one forgets.
-- ARGV: name, expected number or ''
local number = call('HGET', NAMES, ARGV[1])
if not number or (ARGV[2] ~= '' and ARGV[2] ~= number) then return 0 end
call('HDEL', NAMES, ARGV[1])
call('HDEL', LIVE, number)
call('DEL', HOLDER .. number)
return 1
