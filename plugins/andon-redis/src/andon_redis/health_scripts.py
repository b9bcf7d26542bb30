"""How the server knows who rests and who probes, in one step each.

Below the prefix P are ``P:health``, a hash of the endpoints that failed: until when each rests, in
the server's own milliseconds, and how many rests it has had; and ``P:probe:NAME``, who probes an
endpoint, until the end of a lease.
"""

from __future__ import annotations

#: Seconds after which the server forgets who rested, if nobody tells anything any more.
_MEMORY = 86_400

_CLOCK = """
local function time_now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
"""

#: KEYS: the hash, and the probe's key. ARGV: the endpoint; milliseconds of rest, 0 where it is well
#: again and -1 where neither is new; how many rests; the token of the probe that ended, or nothing;
#: the channel; and what others are told.
TELL = (
    _CLOCK
    + f"""
local rest = tonumber(ARGV[2])
if rest > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d', time_now() + rest, ARGV[3]))
  redis.call('EXPIRE', KEYS[1], {_MEMORY})
elseif rest == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
if ARGV[4] ~= '' and redis.call('GET', KEYS[2]) == ARGV[4] then redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
"""
)

#: KEYS: the hash, and the probe's key. ARGV: the endpoint, a token, milliseconds of lease. Returns
#: whether it may be probed; and where it still rests, for how many milliseconds, and how many rests
#: it has had.
CLAIM = (
    _CLOCK
    + """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry then
  local till, rests = string.match(entry, '^(%d+) (%d+)$')
  local left = tonumber(till) - time_now()
  if left > 0 then return {0, left, tonumber(rests)} end
end
local claimed = redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3])
return {claimed and 1 or 0, 0, 0}
"""
)

#: KEYS: the keys of probes. ARGV: milliseconds of lease, then each probe's token.
KEEP = """
for n, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1 + n] then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 1
"""

#: KEYS: the hash. Returns the server's time and the hash.
RECALL = (
    _CLOCK
    + """
return {time_now(), redis.call('HGETALL', KEYS[1])}
"""
)
