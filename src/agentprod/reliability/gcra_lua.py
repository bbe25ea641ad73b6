"""The rate limit as one script inside Redis: what `gcra` and `gcra_record` do, number by number.

Tests replay what the script answered, with the times it took, through `gcra`: change both or neither.
"""

from __future__ import annotations

from agentprod.reliability.gcra_bucket import SLACK
from agentprod.reliability.gcra_record import PATIENCE
from agentprod.stores.redis_scripts import Script

__all__ = ["GCRA", "KEY_PARTS"]

KEY_PARTS = ("state", "reservations", "leases", "line", "places")
"""The keys of one limiter: buckets (packed), reservations (hash: id -> packed), ends of their leases (sorted set of
ids), the line (sorted set of ids, in the order of their coming), places in it (hash: id -> packed)."""

# ARGV: operation, number of dimensions, lease in s, then limit or '', period, burst or '' of each, then what the
# operation takes. Times are seconds since the limiter was first used, so that doubles keep microseconds for years.
GCRA = Script(f"""
local state_key, reservations, leases, line, places = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local operation, size, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local SLACK, PATIENCE = {SLACK!r}, {PATIENCE!r}
local INFINITY = math.huge

local raw = redis.call('GET', state_key)
local state = raw and cmsgpack.unpack(raw) or {{origin = now, joined = 0, waiting = 0, kept_until = 0, buckets = {{}}}}
now = (now - state.origin) / 1000000

local next_argument = 4
local function argument()
    next_argument = next_argument + 1
    return ARGV[next_argument - 1]
end

local function set_limit(bucket, limit)
    bucket.limit = limit
    bucket.burst = limit and (bucket.configured_burst or limit) or INFINITY
    bucket.interval = limit and bucket.per / limit or 0
    bucket.tau = limit and bucket.burst * bucket.interval or INFINITY
    bucket.reach = bucket.tau + SLACK
end

local buckets = {{}}
for index = 1, size do
    local known = state.buckets[index]
    local bucket = {{tat = -INFINITY, freed = 0, in_flight = 0, blocked = -INFINITY, sent = -INFINITY}}
    bucket.configured, bucket.per = tonumber(argument()), tonumber(argument())
    bucket.configured_burst = tonumber(argument())
    if known then
        bucket.tat, bucket.freed, bucket.in_flight, bucket.blocked, bucket.sent = unpack(known, 1, 5)
    end
    set_limit(bucket, known and known[6] or bucket.configured)
    buckets[index] = bucket
end

local function costs_given()
    local costs = {{}}
    for index = 1, size do costs[index] = tonumber(argument()) end
    return costs
end

local function get(key, id)
    local packed = redis.call('HGET', key, id)
    return packed and cmsgpack.unpack(packed)
end

local function land(id, reservation)
    redis.call('HDEL', reservations, id)
    redis.call('ZREM', leases, id)
    for index = 1, size do buckets[index].in_flight = buckets[index].in_flight - reservation.costs[index] end
end

local function sweep()
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1000)) do
        land(id, get(reservations, id))
    end
end

local function take(id, costs)
    for index, bucket in ipairs(buckets) do
        local level = bucket.tat - now
        if costs[index] > 0 then
            if bucket.blocked > now then return nil end
            if level > SLACK and level + costs[index] * bucket.interval > bucket.reach then return nil end
        end
    end
    local marks = {{}}
    for index, bucket in ipairs(buckets) do
        local start = math.max(bucket.tat, now)
        marks[index] = start + bucket.freed
        bucket.tat = start + costs[index] * bucket.interval
        bucket.in_flight = bucket.in_flight + costs[index]
    end
    local reservation = {{at = now, costs = costs, marks = marks}}
    redis.call('HSET', reservations, id, cmsgpack.pack(reservation))
    redis.call('ZADD', leases, string.format('%.17g', now + lease), id)
    return reservation
end

local function step(id)
    redis.call('ZREM', line, id)
    redis.call('HDEL', places, id)
    state.waiting = state.waiting - 1
end

local function first()
    while state.waiting > 0 do
        local id = redis.call('ZRANGE', line, 0, 0)[1]
        if not id then
            state.waiting = 0
            return nil
        end
        local place = get(places, id)
        if place.expires > now then return id, place end
        step(id)
    end
end

local function serve()
    local id, place = first()
    while id and take(id, place.costs) do
        step(id)
        id, place = first()
    end
end

local function wait_for(bucket, cost, ahead)
    local need = cost * bucket.interval
    local level = math.max(0, bucket.tat - now) + ahead * bucket.interval
    local wait = level
    if need <= bucket.tau and level > 0 then wait = level + need - bucket.tau end
    return math.max(wait, bucket.blocked - now)
end

local function longest(costs, ahead)
    local which, most = 1, 0
    for index, bucket in ipairs(buckets) do
        if costs[index] > 0 then
            local wait = wait_for(bucket, costs[index], ahead[index])
            if wait > most then which, most = index, wait end
        end
    end
    return which, most
end

local function shortage(id, costs)
    local ahead, nothing = {{}}, {{}}
    for index = 1, size do ahead[index], nothing[index] = 0, 0 end
    local rank = state.waiting > 0 and redis.call('ZRANK', line, id)
    if state.waiting > 0 and rank ~= 0 then
        for _, other in ipairs(redis.call('ZRANGE', line, 0, rank and rank - 1 or -1)) do
            local place = get(places, other)
            for index = 1, size do ahead[index] = ahead[index] + place.costs[index] end
        end
    end
    local which, wait = longest(costs, ahead)
    local first_id, place = first()
    if first_id and first_id ~= id then
        local other, longer = longest(place.costs, nothing)
        if longer > wait then which, wait = other, longer end
    end
    return which, wait
end

local function settle(id, reservation, used)
    land(id, reservation)
    local made_room = false
    for index, bucket in ipairs(buckets) do
        local cost, mark = reservation.costs[index], reservation.marks[index]
        local units = used and used[index] or cost
        if units ~= cost and mark < INFINITY then
            if units > cost then
                bucket.tat = math.max(bucket.tat, now) + (units - cost) * bucket.interval
            else
                local start = math.max(reservation.at, mark - bucket.freed)
                local left = start + cost * bucket.interval - now
                if left > 0 then
                    local back = left - math.max(0, start + units * bucket.interval - now)
                    bucket.tat = bucket.tat - back
                    bucket.freed = bucket.freed + back
                    made_room = true
                end
            end
        end
    end
    if made_room then serve() end
end

local operations = {{}}

-- id, costs, 1 to stand in line. Returns 1, or 0 and what is short.
function operations.reserve()
    local id, costs, stand = argument(), costs_given(), argument() == '1'
    if redis.call('HEXISTS', reservations, id) == 1 then return {{1}} end
    local place = state.waiting > 0 and get(places, id)
    if place and place.expires <= now then
        step(id)
        place = nil
    end
    serve()
    if place then
        if redis.call('HEXISTS', reservations, id) == 1 then return {{1}} end
        costs = place.costs
    else
        if state.waiting == 0 and take(id, costs) then return {{1}} end
        if stand then
            state.joined, state.waiting = state.joined + 1, state.waiting + 1
            redis.call('ZADD', line, state.joined, id)
            redis.call('HSET', places, id, cmsgpack.pack({{costs = costs, expires = INFINITY}}))
            local life = math.max(math.ceil(state.kept_until - now), 0) + 86400  -- no longer than the state's
            redis.call('EXPIRE', line, life)
            redis.call('EXPIRE', places, life)
        end
    end
    local which, wait = shortage(id, costs)
    if place or stand then
        redis.call('HSET', places, id, cmsgpack.pack({{costs = costs, expires = now + wait + PATIENCE}}))
    end
    local limit = buckets[which].limit
    return {{0, which - 1, string.format('%.17g', wait), limit and string.format('%.17g', limit) or false}}
end

-- id, then units used or nothing to keep all that was booked. Returns whether there was such a reservation.
function operations.settle()
    local id = argument()
    local reservation = get(reservations, id)
    if not reservation then return {{0}} end
    settle(id, reservation, ARGV[next_argument] and costs_given())
    return {{1}}
end

-- id. Gives up a place, or all it has brought.
function operations.leave()
    local id = argument()
    local reservation = get(reservations, id)
    if reservation then
        local nothing = {{}}
        for index = 1, size do nothing[index] = 0 end
        settle(id, reservation, nothing)
    elseif state.waiting > 0 and redis.call('HEXISTS', places, id) == 1 then
        step(id)
        serve()
    end
    return {{1}}
end

-- number of the dimension, seconds since the request was sent, limit or '', remaining or '', reset or '', id or ''.
function operations.sync()
    local index, ago = tonumber(argument()) + 1, tonumber(argument())
    local limit, remaining, reset = tonumber(argument()), tonumber(argument()), tonumber(argument())
    local counted = argument()
    local bucket = buckets[index]
    if now - ago < bucket.sent or (limit and limit <= 0) then return {{0}} end
    bucket.sent = now - ago
    if limit then
        if bucket.configured then limit = math.min(limit, bucket.configured) end
        if limit ~= bucket.limit then
            local level = bucket.interval > 0 and math.max(0, bucket.tat - now) / bucket.interval or bucket.in_flight
            set_limit(bucket, limit)
            bucket.tat = now + level * bucket.interval
            for _, id in ipairs(redis.call('HKEYS', reservations)) do
                local reservation = id ~= '' and get(reservations, id)
                if reservation then
                    reservation.marks[index] = -INFINITY
                    redis.call('HSET', reservations, id, cmsgpack.pack(reservation))
                end
            end
        end
    end
    if remaining and remaining >= 0 then
        local reservation = counted ~= '' and get(reservations, counted)
        if reservation then
            bucket.in_flight = bucket.in_flight - reservation.costs[index]
            reservation.costs[index], reservation.marks[index] = 0, INFINITY
            redis.call('HSET', reservations, counted, cmsgpack.pack(reservation))
        end
        local tat = now + (bucket.burst - (remaining - bucket.in_flight)) * bucket.interval
        if bucket.interval > 0 and tat > math.max(bucket.tat, now) then bucket.tat = tat end
        bucket.blocked = remaining == 0 and reset and reset > 0 and now + reset or -INFINITY
    end
    serve()
    return {{1}}
end

-- Admits nothing for so long; a longer rest in progress goes on.
function operations.rest()
    local finish = now + tonumber(argument())
    for _, bucket in ipairs(buckets) do bucket.blocked = math.max(bucket.blocked, finish) end
    return {{1}}
end

-- Returns the units left by dimension, as text.
function operations.remaining()
    local left = {{}}
    for index, bucket in ipairs(buckets) do
        local level = bucket.interval > 0 and math.max(0, bucket.tat - now) / bucket.interval or 0
        left[index] = string.format('%.17g', bucket.burst - level)
    end
    return left
end

sweep()
local answer = operations[operation]()
if operation ~= 'remaining' then
    state.buckets = {{}}
    local life = lease
    for index, bucket in ipairs(buckets) do
        state.buckets[index] = {{bucket.tat, bucket.freed, bucket.in_flight, bucket.blocked, bucket.sent, bucket.limit}}
        for _, finish in ipairs({{bucket.tat - now, bucket.blocked - now, bucket.per}}) do
            if finish < INFINITY then life = math.max(life, finish) end
        end
    end
    -- Kept for as long as it could matter, and a day more, in which learnt limits need not be learnt again.
    if now + life > state.kept_until then
        state.kept_until = now + life + 3600
        redis.call('HSET', reservations, '', '')  -- these must not vanish and come back without an end
        redis.call('ZADD', leases, '+inf', '')
        for _, key in ipairs({{reservations, leases}}) do redis.call('EXPIRE', key, math.ceil(life) + 90000) end
    end
    redis.call('SET', state_key, cmsgpack.pack(state), 'EX', math.ceil(state.kept_until - now) + 86400)
end
table.insert(answer, string.format('%.17g', now))
return answer
""")
