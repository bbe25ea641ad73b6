"""What runs inside Redis: each operation one script, timed by the server's clock in whole microseconds.

Numbers go back as text: Redis cuts Lua's numbers to integers, and Lua writes large ones with an exponent unless told
not to.
"""

from __future__ import annotations

import hashlib

from agentprod.stores.base import KEPT_LAPSED, LOG_LENGTH

__all__ = ["ADD", "PUBLISH", "READ_LOG", "RENEW", "RESERVE", "SET", "SETTLE", "TAG", "USAGE", "Script"]


class Script:
    """A Lua script and the digest by which a server that has seen it knows it."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = _NOW + text
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function int(number) return string.format('%.0f', number) end
"""

# KEYS: entry. ARGV: value, lifetime in us or '', version it must have or ''. Returns the new version or false.
# An entry is its version, when it was written, when it expires (0: never), 8 bytes each, and the value.
SET = Script("""
local old = redis.call('GETRANGE', KEYS[1], 0, 7)
local version = #old == 8 and struct.unpack('>I8', old) or 0
if ARGV[3] ~= '' and version ~= tonumber(ARGV[3]) then return false end
version = math.max(version + 1, now)
local life = tonumber(ARGV[2])
local header = struct.pack('>I8I8I8', version, now, life and now + life or 0)
if life then
    redis.call('SET', KEYS[1], header .. ARGV[1], 'PX', int(math.max(1, math.ceil(life / 1000))))
else
    redis.call('SET', KEYS[1], header .. ARGV[1])
end
return int(version)
""")

# KEYS: tag. ARGV: key of an entry, its lifetime in us or ''.
TAG = Script("""
local life = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. int(now))
redis.call('ZADD', KEYS[1], life and int(now + life) or '+inf', ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last == 'inf' then
    redis.call('PERSIST', KEYS[1])
else
    redis.call('PEXPIREAT', KEYS[1], int(math.ceil(last / 1000)))
end
""")

# KEYS: log. ARGV: message. Returns its number.
PUBLISH = Script(f"""
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
local number = int(math.max((last or 0) + 1, now))
redis.call('ZADD', KEYS[1], number, number .. ':' .. ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -{LOG_LENGTH + 1})
redis.call('EXPIRE', KEYS[1], 604800)
return number
""")

# KEYS: log. ARGV: number to read after, or ''. Returns last number, length of the log, messages.
READ_LOG = Script("""
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
local messages = {}
if ARGV[1] ~= '' and last then messages = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf') end
return {last and int(last) or false, redis.call('ZCARD', KEYS[1]), messages}
""")

# KEYS: counters (hash: 's:' name -> spent, 'h:' name -> held, 'never' -> whether one has no end), holds (hash: id ->
# packed {lapsed, claims}), ends of leases (sorted set of ids), ends of counters (sorted set of names).
_COUNTERS = f"""
local counters, holds, leases, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kept = {int(KEPT_LAPSED * 1e6)}

local function change(name, spent, held)
    if redis.call('HEXISTS', counters, 's:' .. name) == 0 then return end
    if spent ~= 0 then redis.call('HINCRBY', counters, 's:' .. name, int(spent)) end
    if held ~= 0 then redis.call('HINCRBY', counters, 'h:' .. name, int(held)) end
end

local function drop(id)
    redis.call('HDEL', holds, id)
    redis.call('ZREM', leases, id)
end

local function sweep()
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', int(now), 'LIMIT', 0, 1000)) do
        local raw = redis.call('HGET', holds, id)
        local hold = raw and cmsgpack.unpack(raw)
        if not hold or hold[1] == 1 then
            drop(id)
        else
            for _, claim in ipairs(hold[2]) do change(claim[1], claim[3], -claim[2]) end
            hold[1] = 1
            redis.call('HSET', holds, id, cmsgpack.pack(hold))
            redis.call('ZADD', leases, int(now + kept), id)
        end
    end
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', int(now), 'LIMIT', 0, 1000)) do
        redis.call('HDEL', counters, 's:' .. name, 'h:' .. name)
        redis.call('ZREM', ends, name)
    end
end

-- Keys get an end of their own, so that nothing stays behind when nobody comes any more.
local function extend(key, life)
    if redis.call('PTTL', key) < life / 1000 then redis.call('PEXPIRE', key, int(math.ceil(life / 1000))) end
end

-- Keeps a counter for `life` microseconds from now at least, made if need be; for ever without one.
local function keep(name, life)
    local new = redis.call('HSETNX', counters, 's:' .. name, 0) == 1
    if not life then
        redis.call('ZREM', ends, name)
        redis.call('HSET', counters, 'never', 1)
        redis.call('PERSIST', counters)
        redis.call('PERSIST', ends)
        return
    end
    local finish = redis.call('ZSCORE', ends, name)
    if new or finish and tonumber(finish) < now + life then redis.call('ZADD', ends, int(now + life), name) end
    if redis.call('HEXISTS', counters, 'never') == 0 then
        extend(counters, life)
        extend(ends, life)
    end
end

sweep()
"""

# ARGV: id, lease in us, then per claim: name, amount, limit or '', floor, lifetime in us or ''.
# Returns nothing, or the number of the first claim that does not fit, spent, held.
RESERVE = Script(
    _COUNTERS
    + """
local id, lease = ARGV[1], tonumber(ARGV[2])
if redis.call('HEXISTS', holds, id) == 1 then return false end
local claims, fields = {}, {}
for first = 3, #ARGV, 5 do
    fields[#fields + 1] = 's:' .. ARGV[first]
    fields[#fields + 1] = 'h:' .. ARGV[first]
    claims[#claims + 1] = {ARGV[first], tonumber(ARGV[first + 1]), tonumber(ARGV[first + 3])}
end
local states = redis.call('HMGET', counters, unpack(fields))
for number, claim in ipairs(claims) do
    local limit = tonumber(ARGV[number * 5])
    local spent, held = states[2 * number - 1] or '0', states[2 * number] or '0'
    if limit and spent + held + claim[2] > limit then return {number - 1, spent, held} end
end
for number, claim in ipairs(claims) do
    keep(claim[1], tonumber(ARGV[number * 5 + 2]))
    redis.call('HINCRBY', counters, 'h:' .. claim[1], int(claim[2]))
end
redis.call('HSET', holds, id, cmsgpack.pack({0, claims}))
redis.call('ZADD', leases, int(now + lease), id)
extend(holds, lease + kept)
extend(leases, lease + kept)
return false
"""
)

# ARGV: id, then units used by claim, or nothing to give all back. Returns what was found, or an error.
SETTLE = Script(
    _COUNTERS
    + """
local raw = redis.call('HGET', holds, ARGV[1])
if not raw then return 'unknown' end
local hold = cmsgpack.unpack(raw)
if #ARGV > 1 and #ARGV - 1 ~= #hold[2] then return #hold[2] end
drop(ARGV[1])
for number, claim in ipairs(hold[2]) do
    local used = tonumber(ARGV[number + 1] or 0)
    if hold[1] == 1 then change(claim[1], used - claim[3], 0) else change(claim[1], used, -claim[2]) end
end
return hold[1] == 1 and 'late' or 'settled'
"""
)

# ARGV: id, lease in us. Returns 1 when the lease was running.
RENEW = Script(
    _COUNTERS
    + """
local raw = redis.call('HGET', holds, ARGV[1])
if not raw or cmsgpack.unpack(raw)[1] == 1 then return 0 end
redis.call('ZADD', leases, int(now + ARGV[2]), ARGV[1])
extend(holds, ARGV[2] + kept)
extend(leases, ARGV[2] + kept)
return 1
"""
)

# ARGV: name, amount, lifetime in us or ''. Returns spent, held.
ADD = Script(
    _COUNTERS
    + """
keep(ARGV[1], tonumber(ARGV[3]))
redis.call('HINCRBY', counters, 's:' .. ARGV[1], ARGV[2])
return redis.call('HMGET', counters, 's:' .. ARGV[1], 'h:' .. ARGV[1])
"""
)

# ARGV: names. Returns spent and held of each.
USAGE = Script(
    _COUNTERS
    + """
local fields = {}
for _, name in ipairs(ARGV) do
    fields[#fields + 1] = 's:' .. name
    fields[#fields + 1] = 'h:' .. name
end
return redis.call('HMGET', counters, unpack(fields))
"""
)
