"""How the server keeps the books of who is busy, in one step each.

A backend has a base key B, and below it: ``B:running`` and ``B:waiting``, the requests' ids by the
end of their leases; ``B:places``, what is known of those that wait; ``B:shares``, where each key's
share ends; and ``B:state``. Times are the server's own, in seconds.
"""

from __future__ import annotations

#: What all scripts need; it comes before each of them.
_BOOKS = """
local function time_now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local function text(number) return string.format('%.17g', number) end
local function state(base, field)
  return tonumber(redis.call('HGET', base .. ':state', field) or '0')
end
local function running(base) return redis.call('ZCARD', base .. ':running') end
local function waiting(base) return redis.call('ZCARD', base .. ':waiting') end

local function places(base)
  local found = {}
  local flat = redis.call('HGETALL', base .. ':places')
  for n = 1, #flat, 2 do
    local place = cjson.decode(flat[n + 1])
    place.id = flat[n]
    found[#found + 1] = place
  end
  return found
end

local function forget(base, id)
  redis.call('ZREM', base .. ':waiting', id)
  redis.call('HDEL', base .. ':places', id)
end

-- Whoever let a lease run out is gone.
local function purge(base, now)
  redis.call('ZREMRANGEBYSCORE', base .. ':running', '-inf', text(now))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. ':waiting', '-inf', text(now))) do
    forget(base, id)
  end
end

-- Fair shares: see andon.routing.line, which does the same.
local function tag(base, key, weight)
  local begins = math.max(state(base, 'time'),
                          tonumber(redis.call('HGET', base .. ':shares', key) or '0'))
  redis.call('HSET', base .. ':shares', key, text(begins + weight))
  return begins
end

local function go_on(base, begins, weight)
  local time = math.max(state(base, 'time'), begins) + weight / (waiting(base) + 1)
  redis.call('HSET', base .. ':state', 'time', text(time))
  if redis.call('HLEN', base .. ':shares') > 256 then redis.call('DEL', base .. ':shares') end
end

local function next_place(base, now)
  local aging = state(base, 'aging')
  local oldest, highest = {}, nil
  local all = places(base)
  for _, place in ipairs(all) do
    local known = oldest[place.priority]
    if not known or place.since < known.since then oldest[place.priority] = place end
    if not highest or place.priority > highest then highest = place.priority end
  end
  local first, best = nil, nil
  for priority, place in pairs(oldest) do
    local rank = priority + math.floor((now - place.since) / aging)
    if not first or rank > best or (rank == best and priority < first.priority) then
      first, best = place, rank
    end
  end
  if first == nil or first.priority < highest then return first end
  local chosen = nil
  for _, place in ipairs(all) do
    if place.priority == first.priority and
       (not chosen or place.tag < chosen.tag or
        (place.tag == chosen.tag and place.number < chosen.number)) then
      chosen = place
    end
  end
  return chosen
end

local function grant(base, now)
  local slots = state(base, 'slots')
  while waiting(base) > 0 and (slots == 0 or running(base) < slots) do
    local place = next_place(base, now)
    if place == nil then
      redis.call('DEL', base .. ':waiting')
      return
    end
    local lease = redis.call('ZSCORE', base .. ':waiting', place.id)
    forget(base, place.id)
    go_on(base, place.tag, place.weight)
    if lease then
      redis.call('ZADD', base .. ':running', lease, place.id)
      redis.call('PUBLISH', place.channel, place.id)
    end
  end
end
"""

#: KEYS: the base key of each option. ARGV: id, channel, seconds of lease, aging, priority, key,
#: share, and for each option eleven values (see RedisLoad). Returns {n, waits} for the nth option,
#: or {0, over share, seconds} where none has room.
TAKE = (
    _BOOKS
    + """
local now = time_now()
local id, channel, lease, aging = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local priority, key, share = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local purged, options = {}, {}

for n, base in ipairs(KEYS) do
  local at = 7 + (n - 1) * 11
  local function value(m) return tonumber(ARGV[at + m]) end
  local option = {
    base = base, number = n, group = value(1), slots = value(2), most = value(3), pace = value(4),
    weight = value(5), start = value(6), free = value(7), marked = value(8),
    wait = value(9), depth = value(10), calm = value(11),
  }
  if not purged[base] then
    purged[base] = true
    purge(base, now)
    redis.call('HSET', base .. ':state', 'slots', ARGV[at + 2], 'aging', ARGV[4])
    grant(base, now)
  end
  option.in_flight = running(base) + waiting(base)
  option.busy = option.slots > 0 and running(base) >= option.slots
  option.backlog = 0
  if waiting(base) > 0 then
    for _, place in ipairs(places(base)) do option.backlog = option.backlog + place.weight end
  end
  option.predicted = (option.backlog + 1) * option.pace
  options[n] = option
end

local function overloaded(option)
  local wait = option.busy and option.predicted or 0
  local was = state(option.base, 'overloaded') == 1
  local is
  if was then
    is = not ((option.wait < 0 or wait < option.wait * option.calm) and
              (option.depth < 0 or option.in_flight < option.depth * option.calm))
  else
    is = (option.wait >= 0 and wait > option.wait) or
         (option.depth >= 0 and option.in_flight >= option.depth)
  end
  if is ~= was then
    redis.call('HSET', option.base .. ':state', 'overloaded', is and 1 or 0)
    redis.call('HINCRBY', option.base .. ':state', 'flips', 1)
  end
  return is
end

local over_share, best, group = 0, nil, nil
for _, option in ipairs(options) do
  if best and option.group ~= group then break end
  local out = option.marked == 1 and overloaded(option)
  if not out and option.most >= 0 then
    out = option.in_flight >= math.max(option.most, option.slots)
    if not out and key ~= '' and option.busy then
      local own = 0
      for _, place in ipairs(places(option.base)) do
        if place.key == key then own = own + 1 end
      end
      if own >= share * (option.most - option.in_flight) then out, over_share = true, 1 end
    end
  end
  if not out then
    option.score = option.start + option.pace * math.max(0, option.in_flight - option.free)
    if not best or option.score < best.score then best, group = option, option.group end
  end
end

if not best then
  local least = nil
  for _, option in ipairs(options) do
    if not least or option.predicted < least then least = option.predicted end
  end
  return {0, over_share, text(least or 0)}
end

local base = best.base
redis.call('HINCRBY', base .. ':state', 'admitted', 1)
local begins = tag(base, key, best.weight)
if not best.busy then
  redis.call('ZADD', base .. ':running', text(now + lease), id)
  go_on(base, begins, best.weight)
  return {best.number, 0}
end
redis.call('ZADD', base .. ':waiting', text(now + lease), id)
redis.call('HSET', base .. ':places', id, cjson.encode({
  priority = priority, key = key, weight = best.weight, since = now, tag = begins,
  number = redis.call('HINCRBY', base .. ':state', 'number', 1), channel = channel,
}))
return {best.number, 1}
"""
)

#: KEYS: the base key. ARGV: id.
LEAVE = (
    _BOOKS
    + """
local now = time_now()
redis.call('ZREM', KEYS[1] .. ':running', ARGV[1])
forget(KEYS[1], ARGV[1])
purge(KEYS[1], now)
grant(KEYS[1], now)
return 1
"""
)

#: KEYS: the base keys that it leaves, and where it goes on. ARGV: id, seconds of lease.
MOVE = (
    _BOOKS
    + """
local now = time_now()
redis.call('ZREM', KEYS[1] .. ':running', ARGV[1])
forget(KEYS[1], ARGV[1])
purge(KEYS[1], now)
grant(KEYS[1], now)
redis.call('ZADD', KEYS[2] .. ':running', text(now + tonumber(ARGV[2])), ARGV[1])
redis.call('HINCRBY', KEYS[2] .. ':state', 'admitted', 1)
return 1
"""
)

#: KEYS: the base key of each request. ARGV: seconds of lease, then each request's id. Returns for
#: each whether it waits; one whose lease had run out is counted again, and waits no more.
RENEW = (
    _BOOKS
    + """
local now = time_now()
local till = text(now + tonumber(ARGV[1]))
local waits = {}
for n, base in ipairs(KEYS) do
  local id = ARGV[1 + n]
  waits[n] = redis.call('ZSCORE', base .. ':waiting', id) and 1 or 0
  redis.call('ZADD', base .. (waits[n] == 1 and ':waiting' or ':running'), till, id)
end
for _, base in ipairs(KEYS) do
  purge(base, now)
  grant(base, now)
end
return waits
"""
)

#: KEYS: the base key. ARGV: slots.
RESIZE = (
    _BOOKS
    + """
local now = time_now()
redis.call('HSET', KEYS[1] .. ':state', 'slots', ARGV[1])
purge(KEYS[1], now)
if state(KEYS[1], 'aging') > 0 then grant(KEYS[1], now) end
return 1
"""
)

#: KEYS: the base key. Returns how many are running and waiting, and three fields of the state.
LOOK = (
    _BOOKS
    + """
purge(KEYS[1], time_now())
return {running(KEYS[1]), waiting(KEYS[1]), state(KEYS[1], 'overloaded'),
        state(KEYS[1], 'admitted'), state(KEYS[1], 'flips')}
"""
)
