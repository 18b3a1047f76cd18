"""The part that all Lua scripts of the stream begin with: is everything as it was left?

A queue may come back as something else: a replica that was behind, an older dump, without some of its
keys, with what an operator made of them. Who asks or publishes next finds that out, in the same step,
and begins new epochs for all channels, so that no number is given twice in one. Their numbers go on
where they are, and ``ends`` says where the earlier epochs ended: who saw nothing beyond has missed nothing.

The queue has become something else if

- another server answers: one that was promoted or started again has another replication id (INFO is
  the only command that tells, and where it is forbidden the rest has to do);
- the keys do not belong together, or one of them is of the wrong type or cannot be read: they are made anew
  from the stream;
- a process knows of higher numbers than the queue.

The keys, all in one slot of a cluster:

stream    the updates: fields ``c`` channel, ``n`` sequence, ``e`` epoch, ``t`` how many there were
          of all channels, ``0`` data, ``1``… attachments
numbers   hash: channel to its last ``sequence epoch``
recent    sorted set: channel to the milliseconds of its last update
kept      list, parallel to the stream: ``entry-id total bytes-before bytes-after message``, where total
          and bytes count from the beginning of time
ids       hash: message to its sequence, as long as the message is kept
ends      hash: channel to how its earlier epochs ended, the latest first: ``epoch:last:lost``, where
          ``last`` is the last number that there is, and ``lost`` the highest that a process knows to
          have been given, or ``?`` if no process remembers
seal      hash: ``turn`` changes whenever anything was found or learned, ``server`` wrote last, ``last`` is
          the newest entry of ``kept`` and ``item`` all that is kept of it, ``channel`` its channel, ``number``
          what ``numbers`` holds of that, and ``length`` that of the stream
"""

from production.realtime.history import REMEMBERED_ENDS
from production.realtime.updates import OVERHEAD

KEYS = ("stream", "numbers", "recent", "kept", "ids", "ends", "seal")

INSPECT = f"""
local stream, numbers, recent, kept, ids, ends, seal = unpack(KEYS)
local token, remembers, had = ARGV[1], ARGV[2] == '1', ARGV[2]
local said, turned = {{}}, false

local function say(fault) said[#said + 1] = fault end

local function fields_of(flat)
  local fields = {{}}
  for index = 1, #flat, 2 do fields[flat[index]] = flat[index + 1] end
  return fields
end

local function number_of(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
end

local function read_position(text)
  local sequence, epoch = string.match(text or '', '^(%d+) (%S+)$')
  if number_of(sequence) then return tonumber(sequence), epoch end
end

local function position(channel) return read_position(redis.call('HGET', numbers, channel)) end

local function set_position(channel, sequence, epoch)
  redis.call('HSET', numbers, channel, string.format('%.0f %s', sequence, epoch))
end

local function read_kept(item)
  local id, total, before, after, message =
    string.match(item, '^(%d+%-%d+) (%d+) (%d+) (%d+) (.*)$')
  if not (number_of(total) and number_of(before) and number_of(after)) then return {{}} end
  return {{
    id = id, time = tonumber(string.match(id, '^%d+')), message = message,
    total = tonumber(total), before = tonumber(before), after = tonumber(after),
  }}
end

local function kept_at(index)
  local item = redis.call('LINDEX', kept, index)
  return item and read_kept(item)
end

local function keep(id, total, before, after, message)
  redis.call('RPUSH', kept, string.format('%s %.0f %.0f %.0f %s', id, total, before, after, message))
end

local function entry_at(id)
  local found = redis.call('XRANGE', stream, id, id)
  return found[1] and fields_of(found[1][2])
end

local function is_later(id, other)
  local time, count = string.match(id, '^(%d+)%-(%d+)$')
  local other_time, other_count = string.match(other, '^(%d+)%-(%d+)$')
  if not (time and other_time) then return false end
  if time == other_time then return tonumber(count) > tonumber(other_count) end
  return tonumber(time) > tonumber(other_time)
end

local function remove_other_types()
  local types = {{'stream', 'hash', 'zset', 'list', 'hash', 'hash', 'hash'}}
  for index, key in ipairs(KEYS) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= types[index] then
      redis.call('DEL', key)
      say(string.format('%s was a %s', key, found))
    end
  end
end

local function fault()
  local newest, oldest = kept_at(-1), kept_at(0)
  local sealed, last, number = unpack(redis.call('HMGET', seal, 'turn', 'last', 'number'))
  if not newest then
    if sealed and last == '' then return end
    if sealed or redis.call('HLEN', numbers) > 0 or redis.call('XLEN', stream) > 0 then
      return 'nothing says what the stream holds'
    end
    return
  end
  if not (newest.id and oldest.id) then return 'what is kept cannot be read' end
  if last and is_later(last, newest.id) then return 'updates are gone that were kept' end
  if redis.call('XLEN', stream) < redis.call('LLEN', kept) then return 'the stream lacks updates' end
  local entry = entry_at(newest.id)
  if not entry then return 'the stream has lost its end' end
  if not entry.c or number_of(entry.t) ~= newest.total then return 'the stream is another one' end
  if last == newest.id and number ~= redis.call('HGET', numbers, entry.c) then
    return 'the numbers are not those of the stream'
  end
  if not redis.call('ZSCORE', recent, entry.c) then return 'nothing says which channels are idle' end
  if newest.message ~= '' and redis.call('HEXISTS', ids, newest.message) == 0 then
    return 'messages are not known by their ids'
  end
end

local function messages_of_numbers()
  local messages = {{}}
  local flat = redis.call('HGETALL', ids)
  for index = 1, #flat, 2 do
    local sequence = flat[index + 1]
    messages[sequence] = messages[sequence] or {{}}
    table.insert(messages[sequence], flat[index])
  end
  return messages
end

local function message_of(entry, messages)
  for _, message in ipairs(messages[entry.n] or {{}}) do
    if string.sub(message, 1, #entry.c + 1) == entry.c .. ' ' then return message end
  end
  return ''
end

local function size_of(entry)
  local size, part = {OVERHEAD}, 0
  while entry[tostring(part)] do
    size = size + #entry[tostring(part)]
    part = part + 1
  end
  return size
end

local function has_ended(channel, epoch)
  local known = ' ' .. (redis.call('HGET', ends, channel) or '')
  return string.find(known, ' ' .. epoch .. ':', 1, true)
end

local function take_number_of(entry)
  local sequence, epoch = position(entry.c)
  local newer = not sequence or (epoch == entry.e and sequence < tonumber(entry.n))
  if newer or (epoch ~= entry.e and not has_ended(entry.c, entry.e)) then
    set_position(entry.c, tonumber(entry.n), entry.e)
  end
end

local function repair()
  local messages, by_id = messages_of_numbers(), {{}}
  for _, item in ipairs(redis.call('LRANGE', kept, 0, -1)) do
    local known = read_kept(item)
    if known.id then by_id[known.id] = known.message end
  end
  redis.call('DEL', kept, ids)
  local from, total, size = '-', 0, 0
  repeat
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    for _, each in ipairs(page) do
      local id, entry = each[1], fields_of(each[2])
      local is_update = entry.c and entry.e and entry['0'] and number_of(entry.n)
      if is_update and number_of(entry.t) and tonumber(entry.t) > total then
        local message = by_id[id] or message_of(entry, messages)
        local before = size
        total, size = tonumber(entry.t), size + size_of(entry)
        keep(id, total, before, size, message)
        if message ~= '' then redis.call('HSET', ids, message, entry.n) end
        take_number_of(entry)
      end
      from = '(' .. id
    end
  until #page < 100
end

local function seal_with(id, channel)
  redis.call('HSET', seal,
    'last', id, 'item', redis.call('LINDEX', kept, -1) or '', 'channel', channel or '',
    'number', channel and redis.call('HGET', numbers, channel) or '',
    'length', redis.call('XLEN', stream))
end

local function end_epoch(channel, sequence, epoch, lost)
  local known = {{string.format('%s:%.0f:%s', epoch, sequence, lost)}}
  for item in string.gmatch(redis.call('HGET', ends, channel) or '', '%S+') do
    if #known < {REMEMBERED_ENDS} then known[#known + 1] = item end
  end
  redis.call('HSET', ends, channel, table.concat(known, ' '))
end

local function turn_channel(channel, sequence, epoch, is_remembered)
  end_epoch(channel, sequence, epoch, is_remembered and string.format('%.0f', sequence) or '?')
  set_position(channel, sequence, token)
  turned = true
  redis.call('HSET', seal, 'turn', token)
end

local function turn(is_remembered)
  local now = redis.call('TIME')[1] * 1000
  local flat = redis.call('HGETALL', numbers)
  for index = 1, #flat, 2 do
    local channel, sequence, epoch = flat[index], read_position(flat[index + 1])
    if sequence then
      turn_channel(channel, sequence, epoch, is_remembered)
      redis.call('ZADD', recent, 'NX', now, channel)
    else
      redis.call('HDEL', numbers, channel)
    end
  end
  turned = true
  redis.call('HSET', seal, 'turn', token)
  local newest = kept_at(-1)
  if newest then seal_with(newest.id, entry_at(newest.id).c) else seal_with('', nil) end
end

local function raise(channel, epoch, known, agreed)
  local items, raised = {{}}, false
  for item in string.gmatch(redis.call('HGET', ends, channel) or '', '%S+') do
    local ended, last, lost = string.match(item, '^(.-):(%d+):([%d?]+)$')
    if ended == epoch then
      local there = math.min(tonumber(last), agreed or tonumber(last))
      local highest = math.max(there, known, tonumber(lost) or 0)
      item = string.format('%s:%.0f:%.0f', epoch, there, highest)
      raised = item ~= string.format('%s:%s:%s', ended, last, lost)
    end
    items[#items + 1] = item
  end
  if raised then
    redis.call('HSET', ends, channel, table.concat(items, ' '))
    redis.call('HSET', seal, 'turn', token)
  end
  return raised
end

local function server()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
end

local function is_of_type(key, expected)
  local found = redis.call('TYPE', key).ok
  return found == expected or found == 'none'
end

local function is_as_sealed()
  local sealed = redis.pcall('HMGET', seal, 'server', 'item', 'channel', 'number', 'length')
  return not sealed.err and sealed[2] and sealed[1] == server()
    and redis.pcall('LINDEX', kept, -1) == sealed[2]
    and redis.pcall('XLEN', stream) == tonumber(sealed[5])
    and redis.pcall('HGET', numbers, sealed[3]) == sealed[4]
    and is_of_type(recent, 'zset') and is_of_type(ids, 'hash') and is_of_type(ends, 'hash')
end

local function has_all_that_was_had()
  local newest = kept_at(-1)
  return had ~= '0-0' and newest and newest.id and not is_later(had, newest.id)
end

local function inspect()
  remove_other_types()
  local wrong, here = fault(), server()
  local sealed, there = unpack(redis.call('HMGET', seal, 'turn', 'server'))
  if not wrong and sealed and there == here then return end
  local is_whole = not wrong and (not sealed or has_all_that_was_had())
  if wrong then
    say(wrong)
    repair()
  end
  if sealed and there ~= here then say('another server answers, or it was started again') end
  turn(remembers or is_whole)
  redis.call('HSET', seal, 'server', here)
end
"""
"""Makes sure that the keys are what this process, or any other, left: ``inspect()``, which reads the newest update.

``is_as_sealed()`` costs less, and tells whether there may be anything to find.

ARGV: a token for new epochs, and ``1`` if the process remembers the channels, otherwise the newest entry that its
service has had, ``0-0`` if nobody knows. Leaves ``said``, the faults that were found, and ``turned``, whether new
epochs have begun.
"""
