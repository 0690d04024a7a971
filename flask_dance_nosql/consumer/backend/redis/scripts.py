"""The Lua scripts of the Redis store. Each touches the keys of one user, which share a slot."""

from __future__ import annotations

from hashlib import sha1

# Puts the version and the time of creation into the new document's text without parsing it, since
# Lua's JSON would not keep the token exactly. The index is a sorted set whose scores are the ends
# of the records; expired members are removed at the next write.
SAVE = """
local HEAD = '^{"version":(%d+),"created_at":"(%d+%-%d+%-%d+T[%d:.]+Z)",(.*)$'
local token_key, index_key = KEYS[1], KEYS[2]
local text, if_version, first_version, member, ttl = unpack(ARGV)
local _, created_at, rest = string.match(text, HEAD)
local old = redis.call('GET', token_key)
local version = tonumber(first_version)
local current = 0
local is_there = false
if old then
  local old_version, old_created_at, old_rest = string.match(old, HEAD)
  current = tonumber(old_version or -1)
  is_there = old_rest == rest
  if old_version then
    version, created_at = current + 1, old_created_at
  end
end
if if_version ~= '' and tonumber(if_version) ~= current then
  -- A client that lost its connection sends the script again, and it may have been run before.
  local given = if_version == '0' and tonumber(first_version) or if_version + 1
  if is_there and given == current then
    return {string.format('%.0f', current), created_at}
  end
  return false
end
local number = string.format('%.0f', version)
local new = '{"version":' .. number .. ',"created_at":"' .. created_at .. '",' .. rest
if ttl ~= '' and tonumber(ttl) <= 0 then
  redis.call('DEL', token_key)
  redis.call('ZREM', index_key, member)
  return {number, created_at}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A server that is out of memory refuses only the first write of a script. It has to be this one.
if ttl == '' then
  redis.call('SET', token_key, new)
  redis.call('ZADD', index_key, '+inf', member)
else
  redis.call('SET', token_key, new, 'PX', ttl)
  redis.call('ZADD', index_key, string.format('%.0f', now + ttl), member)
end
redis.call('ZREMRANGEBYSCORE', index_key, '-inf', now)
local last = redis.call('ZRANGE', index_key, -1, -1, 'WITHSCORES')[2]
if last == 'inf' then
  redis.call('PERSIST', index_key)
else
  redis.call('PEXPIREAT', index_key, last)
end
return {number, created_at}
"""

DELETE = """
local old = redis.call('GET', KEYS[1])
if old and ARGV[1] ~= '' and string.match(old, '^{"version":(%d+),') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return 1
"""

ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""

# The name by which a server knows each script that it has run.
SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (SAVE, DELETE, ACQUIRE, RELEASE)
}
