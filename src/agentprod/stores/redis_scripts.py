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

# KEYS: a group (hash: 'c:' name -> spent, held, end or -1; 'r:' id -> end, 1 if lapsed, claims as JSON; 'end' -> when
# the keys themselves end, or 'never') and its ends (sorted set of 'c:' name and 'r:' id by when they may end; a later
# end is looked up in the group). A claim is [name, amount, limit or false, floor, lifetime or false, names of further
# counters that count against the limit ...]. Times are microseconds, numbers are doubles. A call of Redis from Lua
# costs more than the arithmetic around it, so each script reads what it needs at once and writes it back at once.
_GROUP = f"""
local group, ends = KEYS[1], KEYS[2]
local pack, unpacked, decode = struct.pack, struct.unpack, cjson.decode
local kept = {int(KEPT_LAPSED * 1e6)}

-- Changes the counters of these claims by spent[index] and held[index], where they still exist.
local function change(claims, spent, held)
    local fields, writes = {{}}, {{}}
    for index, claim in ipairs(claims) do fields[index] = 'c:' .. claim[1] end
    for index, raw in ipairs(redis.call('HMGET', group, unpack(fields))) do
        if raw then
            local was_spent, was_held, finish = unpacked('ddd', raw)
            writes[#writes + 1] = fields[index]
            writes[#writes + 1] = pack('ddd', was_spent + spent[index], was_held + held[index], finish)
        end
    end
    if #writes > 0 then redis.call('HSET', group, unpack(writes)) end
end

local function lapse(field, claims_text)
    local claims, spent, held = decode(claims_text), {{}}, {{}}
    for index, claim in ipairs(claims) do spent[index], held[index] = claim[4], -claim[2] end
    change(claims, spent, held)
    redis.call('HSET', group, field, pack('dd', now + kept, 1) .. claims_text)
    redis.call('ZADD', ends, now + kept, field)
end

local function sweep()
    for _, field in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 1000)) do
        local raw, finish, lapsed = redis.call('HGET', group, field), nil, nil
        if raw and field:sub(1, 1) == 'r' then
            finish, lapsed = unpacked('dd', raw)
        elseif raw then
            finish = select(3, unpacked('ddd', raw))
        end
        if finish and finish > now then
            redis.call('ZADD', ends, finish, field)
        elseif lapsed == 0 then
            lapse(field, raw:sub(17))
        else
            redis.call('ZREM', ends, field)
            if finish ~= -1 then redis.call('HDEL', group, field) end
        end
    end
end

-- Lets the keys end a while after the last thing in them, so that nothing stays behind when nobody comes any more.
local function extend(known, finish)
    if known == 'never' or finish and finish <= tonumber(known or 0) then return end
    if finish then
        finish = math.ceil(finish + (finish - now) / 8)
        redis.call('HSET', group, 'end', int(finish))
        redis.call('ZADD', ends, '+inf', '')  -- it must not vanish and come back without an end
        redis.call('PEXPIREAT', group, math.ceil(finish / 1000))
        redis.call('PEXPIREAT', ends, math.ceil(finish / 1000))
    else
        redis.call('HSET', group, 'end', 'never')
        redis.call('PERSIST', group)
        redis.call('PERSIST', ends)
    end
end

-- Returns what a counter has spent and holds, when it ends if it is to live for `life` from now on at least (-1, never,
-- without one), and whether `ends` does not know it yet.
local function state(raw, life)
    local spent, held, finish = 0, 0, nil
    if raw then spent, held, finish = unpacked('ddd', raw) end
    local new = not finish or finish >= 0 and finish <= now
    if new then spent, held, finish = 0, 0, 0 end
    if not life then
        finish = -1
    elseif finish >= 0 then
        finish = math.max(finish, now + life)
    end
    return spent, held, finish, new and finish >= 0
end
"""

# ARGV: id, lease, claims as JSON. Returns nothing, or the number of the first claim that does not fit, spent, held.
RESERVE = Script(
    _GROUP
    + """
sweep()
local claims, field, finish = decode(ARGV[3]), 'r:' .. ARGV[1], now + ARGV[2]
local fields = {'end', field}
for _, claim in ipairs(claims) do fields[#fields + 1] = 'c:' .. claim[1] end
local raw = redis.call('HMGET', group, unpack(fields))
if raw[2] then return false end
local others = {}
for number, claim in ipairs(claims) do
    if #claim > 5 then
        local names, spent, held = {}, 0, 0
        for index = 6, #claim do names[#names + 1] = 'c:' .. claim[index] end
        for _, other in ipairs(redis.call('HMGET', group, unpack(names))) do
            local other_spent, other_held = state(other)
            spent, held = spent + other_spent, held + other_held
        end
        others[number] = {spent, held}
    end
end
local last, writes, news = finish + kept, {field, pack('dd', finish, 0) .. ARGV[3]}, {finish, field}
for number, claim in ipairs(claims) do
    local spent, held, counter_end, is_new = state(raw[number + 2], claim[5])
    local also_spent, also_held = unpack(others[number] or {0, 0})
    if claim[3] and spent + also_spent + held + also_held + claim[2] > claim[3] then
        return {number - 1, int(spent + also_spent), int(held + also_held)}
    end
    writes[#writes + 1] = fields[number + 2]
    writes[#writes + 1] = pack('ddd', spent, held + claim[2], counter_end)
    if is_new then
        news[#news + 1] = counter_end
        news[#news + 1] = fields[number + 2]
    end
    last = last and counter_end >= 0 and math.max(last, counter_end)
end
redis.call('HSET', group, unpack(writes))
redis.call('ZADD', ends, unpack(news))
extend(raw[1], last)
return false
"""
)

# ARGV: id, then units used by claim as JSON, or nothing to give all back. Returns what was found, or how many claims.
SETTLE = Script(
    _GROUP
    + """
local field = 'r:' .. ARGV[1]
local raw = redis.call('HGET', group, field)
if not raw then return 'unknown' end
local finish, lapsed = unpacked('dd', raw)
if lapsed == 1 and finish <= now then return 'unknown' end
local claims, used = decode(raw:sub(17)), ARGV[2] and decode(ARGV[2])
if used and #used ~= #claims then return #claims end
local spent, held = {}, {}
for number, claim in ipairs(claims) do
    local units = used and used[number] or 0
    if lapsed == 1 then
        spent[number], held[number] = units - claim[4], 0
    else
        spent[number], held[number] = units, -claim[2]
    end
end
change(claims, spent, held)
redis.call('HDEL', group, field)
redis.call('ZREM', ends, field)
return (lapsed == 1 or finish <= now) and 'late' or 'settled'
"""
)

# ARGV: id, lease in us. Returns 1 when the lease was running.
RENEW = Script(
    _GROUP
    + """
local field = 'r:' .. ARGV[1]
local raw = redis.call('HMGET', group, 'end', field)
if not raw[2] then return 0 end
local finish, lapsed = unpacked('dd', raw[2])
if lapsed == 1 or finish <= now then return 0 end
finish = now + ARGV[2]
redis.call('HSET', group, field, pack('dd', finish, 0) .. raw[2]:sub(17))
redis.call('ZADD', ends, finish, field)
extend(raw[1], finish + kept)
return 1
"""
)

# ARGV: name, amount, lifetime in us or ''. Returns spent, held.
ADD = Script(
    _GROUP
    + """
sweep()
local field = 'c:' .. ARGV[1]
local raw = redis.call('HMGET', group, 'end', field)
local spent, held, finish, is_new = state(raw[2], tonumber(ARGV[3]))
spent = spent + ARGV[2]
redis.call('HSET', group, field, pack('ddd', spent, held, finish))
if is_new then redis.call('ZADD', ends, finish, field) end
extend(raw[1], finish >= 0 and finish)
return {int(spent), int(held)}
"""
)

# ARGV: names. Returns spent and held of each.
USAGE = Script(
    _GROUP
    + """
sweep()
local fields, found = {}, {}
for index, name in ipairs(ARGV) do fields[index] = 'c:' .. name end
for _, raw in ipairs(redis.call('HMGET', group, unpack(fields))) do
    local spent, held = 0, 0
    if raw then spent, held = unpacked('ddd', raw) end
    found[#found + 1] = int(spent)
    found[#found + 1] = int(held)
end
return found
"""
)
