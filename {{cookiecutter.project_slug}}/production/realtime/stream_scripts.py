"""The Lua scripts of the stream: what Redis or Valkey does in one step.

The keys, all in one slot of a cluster:

stream    the updates: fields ``c`` channel, ``n`` sequence, ``e`` epoch, ``t`` how many there were
          of all channels, ``0`` data, ``1``… attachments
numbers   hash: channel to its last ``sequence epoch``
recent    sorted set: channel to the milliseconds of its last update
kept      list, parallel to the stream: ``entry-id total bytes-before bytes-after message``, where total
          and bytes count from the beginning of time; never empty once there was an update
ids       hash: message to its sequence, as long as the message is kept
"""

KEYS = ("stream", "numbers", "recent", "kept", "ids")

APPEND = """
local stream, numbers, recent, kept, ids = unpack(KEYS)
local max_messages, max_bytes, max_age, max_channels = unpack(ARGV, 1, 4)
max_messages, max_bytes = tonumber(max_messages), tonumber(max_bytes)
max_age, max_channels = tonumber(max_age), tonumber(max_channels)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function kept_at(index)
  local item = redis.call('LINDEX', kept, index)
  if not item then return nil end
  local id, total, before, after, message =
    string.match(item, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
  return {
    id = id, time = tonumber(string.match(id, '^%d+')), message = message,
    total = tonumber(total), before = tonumber(before), after = tonumber(after),
  }
end

local function forget_idle_channel()
  local idlest = redis.call('ZRANGE', recent, 0, 0, 'WITHSCORES')
  if idlest[1] and tonumber(idlest[2]) <= now - max_age then
    redis.call('ZREM', recent, idlest[1])
    redis.call('HDEL', numbers, idlest[1])
  end
end

local function next_number(channel, epoch)
  local last = redis.call('HGET', numbers, channel)
  if last then
    local sequence, since = string.match(last, '^(%d+) (.*)$')
    return sequence + 1, since
  end
  if redis.call('HLEN', numbers) >= max_channels then forget_idle_channel() end
  if redis.call('HLEN', numbers) >= max_channels then return nil end
  return 1, epoch
end

local function trim()
  while true do
    local oldest = kept_at(0)
    local count = redis.call('LLEN', kept)
    if count < 2 then return end
    if count <= max_messages and kept_at(-1).after - oldest.before <= max_bytes
      and oldest.time >= now - max_age then return end
    redis.call('LPOP', kept)
    redis.call('XDEL', stream, oldest.id)
    redis.call('HDEL', ids, oldest.message)
  end
end

local function append(channel, message, epoch, size, data)
  message = channel .. ' ' .. message
  local repeated = redis.call('HGET', ids, message)
  if repeated then return tonumber(repeated) end
  local sequence, since = next_number(channel, epoch)
  if not sequence then return 0 end
  local newest = kept_at(-1)
  local total = newest and newest.total + 1 or 1
  local before = newest and newest.after or 0
  local fields = {'c', channel, 'n', sequence, 'e', since, 't', total}
  for index, part in ipairs(data) do
    fields[#fields + 1] = index - 1
    fields[#fields + 1] = part
  end
  local id = redis.call('XADD', stream, 'MAXLEN', '~', max_messages, '*', unpack(fields))
  redis.call('HSET', numbers, channel, sequence .. ' ' .. since)
  redis.call('ZADD', recent, now, channel)
  redis.call('HSET', ids, message, sequence)
  redis.call('RPUSH', kept,
    string.format('%s %.0f %.0f %.0f %s', id, total, before, before + size, message))
  trim()
  return sequence
end

local results = {}
local at = 5
while at <= #ARGV do
  local channel, message, epoch, size, parts = unpack(ARGV, at, at + 4)
  local data = {}
  for index = 1, tonumber(parts) do data[index] = ARGV[at + 4 + index] end
  results[#results + 1] = append(channel, message, epoch, tonumber(size), data)
  at = at + 5 + parts
end
return results
"""
"""Numbers messages and adds them to the stream; trims what is too much or too old.

ARGV: the limits (messages, bytes, milliseconds, channels), then for each message its channel, its
id, the epoch that the channel gets if it is new, its size in bytes, the number of parts of its data
and those. Returns the sequences; 0 where there was no room for another channel.
"""

STATE = """
return {redis.call('HGETALL', KEYS[2]), redis.call('LINDEX', KEYS[4], -1)}
"""
"""Returns the numbers of all channels and the last item of ``kept``, both of one moment."""

RENEW = """
local last = redis.call('HGET', KEYS[2], ARGV[1])
if last and string.match(last, ' (.*)$') == ARGV[2] then
  redis.call('HSET', KEYS[2], ARGV[1], '0 ' .. ARGV[3])
end
"""
"""Starts the numbers of a channel again, in another epoch, unless somebody already has.

ARGV: the channel, the epoch that it is known to have, the new one.
"""
