"""What the server does in one step each: no other client sees anything in between.

Amounts are whole nano-dollars. They are added up by the server's own 64-bit integers; only the
comparison with a limit is Lua's, which is exact up to 2^53 nano-dollars, nine million dollars.
"""

from __future__ import annotations

#: KEYS: the hold, what is used; then for each charge its open holds and its spending.
#: ARGV: id, amount, created, expires, label, charges as JSON, seconds to keep the hold; then for
#: each charge its field and its limit, or an empty text.
#: Returns {0} where the hold was there, {-1, n} where the nth charge has no room, or {1, used …}.
RESERVE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
local amount = tonumber(ARGV[2])
local count = (#ARGV - 7) / 2
for n = 1, count do
  local limit = ARGV[7 + 2 * n]
  local used = tonumber(redis.call('HGET', KEYS[2], ARGV[6 + 2 * n]) or '0')
  if limit ~= '' and amount > 0 and used + amount > tonumber(limit) then return {-1, n} end
end
redis.call('HSET', KEYS[1], 'amount', ARGV[2], 'expires', ARGV[4], 'label', ARGV[5],
           'charges', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
local reply = {1}
for n = 1, count do
  reply[n + 1] = redis.call('HINCRBY', KEYS[2], ARGV[6 + 2 * n], ARGV[2])
  redis.call('ZADD', KEYS[1 + 2 * n], ARGV[4], ARGV[1])
  redis.call('HINCRBY', KEYS[2 + 2 * n], 'n' .. ARGV[5], 1)
  redis.call('HINCRBY', KEYS[2 + 2 * n], 'u' .. ARGV[5], ARGV[2])
end
return reply
"""

#: KEYS as for RESERVE. ARGV: id, amount; then the field of each charge.
SETTLE = """
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'settled') == 1 then
  return 0
end
-- Negated as a text: Lua's own numbers are doubles. The server does not read "-0".
local held = '-' .. redis.call('HGET', KEYS[1], 'amount')
if held == '-0' then held = '0' end
local label = redis.call('HGET', KEYS[1], 'label')
redis.call('HSET', KEYS[1], 'settled', ARGV[2])
for n = 1, #ARGV - 2 do
  redis.call('HINCRBY', KEYS[2], ARGV[2 + n], ARGV[2])
  redis.call('HINCRBY', KEYS[2], ARGV[2 + n], held)
  redis.call('ZREM', KEYS[1 + 2 * n], ARGV[1])
  redis.call('HINCRBY', KEYS[2 + 2 * n], 'u' .. label, ARGV[2])
  redis.call('HINCRBY', KEYS[2 + 2 * n], 'u' .. label, held)
end
return 1
"""
