"""What the server does in one step, in Lua. Each begins with what its KEYS and ARGV are.

All keys of one script carry the same hash tag, so that they lie on one node of a Cluster.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name by which the server knows it once it was loaded."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


ENTER = Script("""
-- KEYS: one for each limit; then, with a ticket, the epoch and the use
-- ARGV: count of limits, interval and burst of each; then attempt, issued, kept until (or ''), skew
-- answers ok, limited, used or young, and how far each limit's bucket was filled, in seconds
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local count = tonumber(ARGV[1])
local answer, filled = {'ok'}, {}
for i = 1, count do
  local interval, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local tolerance = interval * burst
  local start = math.min(math.max(tonumber(redis.call('GET', KEYS[i]) or now) - now, 0), tolerance)
  filled[i] = start + interval
  if filled[i] > tolerance + interval * 0.0005 then answer[1] = 'limited' end
  answer[i + 1] = string.format('%.17g', start)
end
if answer[1] ~= 'ok' then return answer end
for i = 1, count do
  local life = math.ceil(filled[i] * 1000) + 1
  redis.call('SET', KEYS[i], string.format('%.17g', now + filled[i]), 'PX', string.format('%.0f', life))
end
if #KEYS == count then return answer end

local epoch, use = KEYS[count + 1], KEYS[count + 2]
local attempt, issued, kept, skew = unpack(ARGV, 2 * count + 2)
-- A server that was started anew, that took over, or that has evicted keys, may have forgotten uses. Until it is known
-- which of its lives this is, nothing that was issued before counts.
local facts = redis.call('INFO', 'server', 'stats')
local run = string.match(facts, 'run_id:(%x+)') .. '.' .. string.match(facts, 'evicted_keys:(%d+)')
local known = redis.call('HMGET', epoch, 'run', 'from')
if known[1] ~= run then
  known[2] = string.format('%.17g', now + skew)
  redis.call('HSET', epoch, 'run', run, 'from', known[2])
end
local holder = redis.call('GET', use)
if holder then
  if holder ~= attempt then answer[1] = 'used' end
elseif tonumber(issued) < tonumber(known[2]) then
  answer[1] = 'young'
elseif kept == '' then
  redis.call('SET', use, attempt)
else
  redis.call('SET', use, attempt, 'EXAT', kept)
end
return answer
""")

RELEASE = Script("""
-- KEYS: the use; ARGV: attempt
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'ok'
""")

APPEND = Script("""
-- KEYS: the stream, the list's id; ARGV: an id for a list that has none, then the entries; answers id and last place
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = tail and tail[1] or '0-0'
for i = 2, #ARGV do last = redis.call('XADD', KEYS[1], '*', 'r', ARGV[i]) end
return {redis.call('GET', KEYS[2]), last}
""")

READ = Script("""
-- KEYS: the stream, the list's id; ARGV: id and place of the cursor, how many
-- answers the id, the place from which was read, and the entries
local list = redis.call('GET', KEYS[2]) or ''
local from = ARGV[2]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or (am == bm and as < bs)
end
-- Another list, or the same one cut short by a failover: it is read from its beginning.
if list ~= ARGV[1] or (last and before(last[1], from)) then from = '0-0' end
return {list, from, redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', ARGV[3])}
""")

CREATE = Script("""
-- KEYS: the session, the indexes; ARGV: id, body, generation, ended ('' while it lives), expires, kept until, now
local body = redis.call('HGET', KEYS[1], 'body')
if body then return body == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'generation', ARGV[3], 'ended', ARGV[4])
redis.call('EXPIREAT', KEYS[1], ARGV[6])
for i = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', '(' .. ARGV[7])
  if ARGV[4] == '' then redis.call('ZADD', KEYS[i], ARGV[5], ARGV[1]) end
  -- No index outlives the last of its sessions.
  local last = redis.call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')
  if last[2] then redis.call('EXPIREAT', KEYS[i], string.format('%.0f', tonumber(last[2]) + 86400)) end
end
return 1
""")

REPLACE = Script("""
-- KEYS: the session, the indexes; ARGV: id, body, generation, ended, expires, kept until, the generation to be replaced
local found = redis.call('HMGET', KEYS[1], 'generation', 'ended')
if found[1] ~= ARGV[7] or found[2] ~= '' then return 0 end
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'generation', ARGV[3], 'ended', ARGV[4])
redis.call('EXPIREAT', KEYS[1], ARGV[6])
for i = 2, #KEYS do
  if ARGV[4] == '' then
    redis.call('ZADD', KEYS[i], ARGV[5], ARGV[1])
    local last = redis.call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')
    redis.call('EXPIREAT', KEYS[i], string.format('%.0f', tonumber(last[2]) + 86400))
  else
    redis.call('ZREM', KEYS[i], ARGV[1])
  end
end
return 1
""")

BODY = Script("""
-- KEYS: the session
return redis.call('HGET', KEYS[1], 'body')
""")

LISTED = Script("""
-- KEYS: one index; ARGV: now, how many; answers ids
return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
""")

PUT = Script("""
-- KEYS: bodies, due, attempts; ARGV: id, body, due, attempts of each
for i = 1, #ARGV, 4 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 3])
  end
end
return 1
""")

LEASE = Script("""
-- KEYS: bodies, due, attempts; ARGV: now, due again, how many; answers body, due, attempts of each
local leased = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local due = redis.call('ZSCORE', KEYS[2], id)
  redis.call('ZADD', KEYS[2], ARGV[2], id)
  local attempts = redis.call('HINCRBY', KEYS[3], id, 1)
  leased[#leased + 1] = {redis.call('HGET', KEYS[1], id), due, attempts - 1}
end
return leased
""")

DONE = Script("""
-- KEYS: bodies, due, attempts; ARGV: id
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
""")

PUT_OFF = Script("""
-- KEYS: bodies, due, attempts; ARGV: id, due
redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
return 1
""")

MEMORY = Script("""
-- Whoever may call the others may call this; answers the section as text
return redis.call('INFO', 'memory')
""")

SCRIPTS = (ENTER, RELEASE, APPEND, READ, CREATE, REPLACE, BODY, LISTED, PUT, LEASE, DONE, PUT_OFF, MEMORY)
"""All of them; a server has them before it is asked for anything else."""
