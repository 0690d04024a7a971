"""The Lua scripts of the Redis store. Each touches the keys of one user, which share a slot."""

from __future__ import annotations

from hashlib import sha1

# Puts the version and the time of creation into the new document's text without parsing it, since
# Lua's JSON would not keep the token exactly. The index is a sorted set whose scores are the ends
# of the records; expired members are removed at the next write. The token is written last: whatever
# the server refuses before, it is stored as a whole or not at all. A value that is not ours, of any
# type, counts as a record that can't be read, and is replaced; an index of another type is left.
SAVE = """
local HEAD = '^{"version":(%d+),"created_at":"(%d+%-%d+%-%d+T[%d:.]+Z)",(.*)$'
local DATE = '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)Z$'
local LARGEST = 9007199254740991

local function is_date(text)
  local found = {string.match(text, DATE)}
  local fraction = table.remove(found)
  if not fraction or string.match(fraction, '^%.%d+$') ~= fraction and fraction ~= '' then
    return false
  end
  local year, month, day, hour, minute, second
  for n = 1, 6 do found[n] = tonumber(found[n]) end
  year, month, day, hour, minute, second = unpack(found)
  local days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
  if year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then days[2] = 29 end
  local has_day = year > 0 and day > 0 and day <= (days[month] or 0)
  return #fraction <= 7 and has_day and hour < 24 and minute < 60 and second < 60
end

local token_key, index_key = KEYS[1], KEYS[2]
local text, if_version, first_version, member, ttl, least = unpack(ARGV)
local _, created_at, rest = string.match(text, HEAD)
local old = redis.pcall('GET', token_key)
if type(old) == 'table' then
  if not string.find(tostring(old.err), 'WRONGTYPE') then return old end
  old = ''
end
local version = tonumber(first_version)
local current = 0
local is_there = false
if old then
  local old_version, old_created_at, old_rest = string.match(old, HEAD)
  current = tonumber(old_version or -1)
  is_there = old_rest == rest
  if old_version and current < LARGEST then
    version = math.max(current + 1, tonumber(least))
  end
  if old_version and is_date(old_created_at) then
    created_at = old_created_at
  end
end
if if_version ~= '' and tonumber(if_version) ~= current then
  -- A client that lost its connection sends the script again, and it may have been run before.
  local given = if_version == '0' and tonumber(first_version)
  given = given or math.max(if_version + 1, tonumber(least))
  if is_there and given == current then
    return {string.format('%.0f', current), created_at, 1}
  end
  return false
end
local number = string.format('%.0f', version)
local new = '{"version":' .. number .. ',"created_at":"' .. created_at .. '",' .. rest
if ttl ~= '' and tonumber(ttl) <= 0 then
  redis.pcall('ZREM', index_key, member)
  redis.call('DEL', token_key)
  return {number, created_at, 1}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local score = ttl == '' and '+inf' or string.format('%.0f', now + ttl)
local indexed = redis.pcall('ZADD', index_key, score, member)
local is_indexed = type(indexed) ~= 'table'
if is_indexed then
  redis.call('ZREMRANGEBYSCORE', index_key, '-inf', now)
  local last = redis.call('ZRANGE', index_key, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', index_key)
  else
    redis.call('PEXPIREAT', index_key, last)
  end
elseif not string.find(tostring(indexed.err), 'WRONGTYPE') then
  return indexed
end
if ttl == '' then
  redis.call('SET', token_key, new)
else
  redis.call('SET', token_key, new, 'PX', ttl)
end
return {number, created_at, is_indexed and 1 or 0}
"""

DELETE = """
if ARGV[1] ~= '' then
  local old = redis.pcall('GET', KEYS[1])
  if type(old) == 'table' and not string.find(tostring(old.err), 'WRONGTYPE') then return old end
  if type(old) == 'table' or old and string.match(old, '^{"version":(%d+),') ~= ARGV[1] then
    return 0
  end
end
local removed = redis.pcall('ZREM', KEYS[2], ARGV[2])
if type(removed) == 'table' and not string.find(tostring(removed.err), 'WRONGTYPE') then
  return removed
end
redis.call('DEL', KEYS[1])
return 1
"""

# A value of another type is no lock that anybody holds.
ACQUIRE = """
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' and not string.find(tostring(holder.err), 'WRONGTYPE') then
  return holder
end
if type(holder) == 'string' and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

RELEASE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""

# The name by which a server knows each script that it has run.
SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (SAVE, DELETE, ACQUIRE, RELEASE)
}
