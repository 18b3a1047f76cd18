"""The Lua scripts of the stream: what Redis or Valkey does in one step.

Each begins with :data:`production.realtime.stream_inspection.INSPECT`, which names the keys, and takes
two arguments for it.
"""

from production.realtime.stream_inspection import INSPECT

APPEND = (
    INSPECT
    + """
if not is_as_sealed() then inspect() end
local max_messages, max_bytes, max_age, max_channels = unpack(ARGV, 3, 6)
max_messages, max_bytes = tonumber(max_messages), tonumber(max_bytes)
max_age, max_channels = tonumber(max_age), tonumber(max_channels)
local doubts = ARGV[7] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget_idle_channel()
  local idlest = redis.call('ZRANGE', recent, 0, 0, 'WITHSCORES')
  if idlest[1] and tonumber(idlest[2]) <= now - max_age then
    redis.call('ZREM', recent, idlest[1])
    redis.call('HDEL', numbers, idlest[1])
    redis.call('HDEL', ends, idlest[1])
  end
end

local function next_number(channel, epoch, known, known_epoch)
  local sequence, since = position(channel)
  if sequence and since == known_epoch and sequence < known then
    say('numbers are lower than those that were given')
    turn(true)
    sequence, since = position(channel)
  end
  if sequence and doubts and since ~= token and not has_ended(channel, known_epoch) then
    turn_channel(channel, sequence, since, remembers)
    since = token
  end
  if turned and sequence and raise(channel, known_epoch, known) then
    sequence = math.max(sequence, known)
  end
  if sequence then return sequence + 1, since end
  if redis.call('HLEN', numbers) >= max_channels then forget_idle_channel() end
  if redis.call('HLEN', numbers) >= max_channels then return nil end
  return 1, epoch
end

local function trim()
  while true do
    local oldest = kept_at(0)
    local count = redis.call('LLEN', kept)
    if count < 2 then return end
    if oldest.id then
      if count <= max_messages and kept_at(-1).after - oldest.before <= max_bytes
        and oldest.time >= now - max_age then return end
      redis.call('XDEL', stream, oldest.id)
      redis.call('HDEL', ids, oldest.message)
    end
    redis.call('LPOP', kept)
  end
end

local last_id, last_channel

local function append(channel, message, epoch, size, known, known_epoch, data)
  message = channel .. ' ' .. message
  local repeated = number_of(redis.call('HGET', ids, message))
  if repeated then return {repeated, '', ''} end
  local sequence, since = next_number(channel, epoch, known, known_epoch)
  if not sequence then return {0, '', ''} end
  local newest = kept_at(-1)
  local total = newest and newest.total + 1 or 1
  local before = newest and newest.after or 0
  local fields = {'c', channel, 'n', sequence, 'e', since, 't', total}
  for index, part in ipairs(data) do
    fields[#fields + 1] = index - 1
    fields[#fields + 1] = part
  end
  local id = redis.call('XADD', stream, 'MAXLEN', '~', max_messages, '*', unpack(fields))
  set_position(channel, sequence, since)
  redis.call('ZADD', recent, now, channel)
  redis.call('HSET', ids, message, sequence)
  keep(id, total, before, before + size, message)
  trim()
  last_id, last_channel = id, channel
  return {sequence, since, id}
end

local results = {}
local at = 8
while at <= #ARGV do
  local channel, message, epoch, size, known, known_epoch, parts = unpack(ARGV, at, at + 6)
  local data = {}
  for index = 1, tonumber(parts) do data[index] = ARGV[at + 6 + index] end
  results[#results + 1] =
    append(channel, message, epoch, tonumber(size), tonumber(known), known_epoch, data)
  at = at + 7 + parts
end
if last_id then seal_with(last_id, last_channel) end
return {said, results}
"""
)
"""Numbers messages and adds them to the stream; trims what is too much or too old.

ARGV: the limits (messages, bytes, milliseconds, channels), ``1`` if the process has been cut off, so that others may
know higher numbers than it and the queue do, unless the epoch that it knows has ended by now; then for each message
its channel, its id, the epoch that the channel gets if it is new, its size in bytes, the highest number of the channel
that is known and its epoch, the number of parts of its data and those. Returns the faults that were found,
and for each message its sequence, epoch and entry; 0 where there was no room for another channel, and
no entry where it is a repetition.
"""

IS_ANOTHER = (
    INSPECT
    + """
local there = redis.pcall('HGET', seal, 'server')
return type(there) == 'string' and there ~= server() and 1 or 0
"""
)
"""Tells whether another server answers than the one that was written to last, and changes nothing."""

STATE = (
    INSPECT
    + """
inspect()
return {
  said, redis.call('HGET', seal, 'turn'), redis.call('LINDEX', kept, -1) or '',
  redis.call('HGETALL', numbers), redis.call('HGETALL', ends),
}
"""
)
"""Returns the faults that were found, the turn, the last item of ``kept``, the numbers of all channels and
how their earlier epochs ended, all of one moment."""

NEWEST = (
    INSPECT
    + """
inspect()
return {said, redis.call('HGET', seal, 'turn'), redis.call('LINDEX', kept, -1) or ''}
"""
)
"""Returns the faults that were found, the turn and the last item of ``kept``."""

WITNESS = (
    INSPECT
    + """
inspect()
for at = 3, #ARGV, 4 do
  local channel, known, epoch = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local agreed = number_of(ARGV[at + 3])
  local sequence, since = position(channel)
  if since == epoch and (sequence < known or (agreed and agreed < sequence)) then
    say('numbers are not those that were given')
    turn(true)
  end
  raise(channel, epoch, known, agreed)
end
return {said}
"""
)
"""Notes what a process knows to have been given and the queue does not know of any more.

ARGV: for each channel its name, the highest number, its epoch, and up to where the updates are those that
the process had, or an empty text if that is not in doubt. Returns the faults that were found.
"""
