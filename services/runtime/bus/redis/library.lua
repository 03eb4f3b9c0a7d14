#!lua name=cdb
-- The functions of the bus. The starter of the server loads them before it lets any service in;
-- services may call them, and may run no code of their own.
--
-- A function runs with the rights of its caller: the access rules are checked on every call below.
-- Keys are named here and not passed as keys: that would ask for the right to write keys that a
-- service may only read.

local COUNTERS = 'cdb:counters'
local SERVICES = {'cdb_ws', 'cdb_core', 'cdb_risk', 'cdb_execution', 'cdb_db_writer',
  'cdb_paper_runner'}
local STAGE_ORDER = {'cdb_execution', 'cdb_risk', 'cdb_core'}
-- Topics that every service publishes; each other one has one producer.
local SHARED = {alerts = true, control = true}

local function text(number)
  return string.format('%d', number)
end

local function newest_of(service)
  local newest = redis.call('XREVRANGE', 'cdb:journal:' .. service, '+', '-', 'COUNT', 1)[1]
  return newest and tonumber(string.match(newest[1], '^%d+')) or 0
end

-- The last seq of the total order and nil, or false and a refusal: every service may write the
-- counters, so they are believed only where the journal of the last producer confirms them.
local function checked_head(seq, producer)
  local head = tonumber(seq or '0')
  local newest = producer and newest_of(producer) or 0
  if not head or newest ~= head then
    return false, {'COUNTERS', 'the counters are at ' .. tostring(seq) .. ', the journal of '
      .. tostring(producer) .. ' at ' .. text(newest)}
  end
  return head
end

-- Claim a service's place: the newest claimer wins, and learns where its predecessor stopped.
--
-- args: service.
-- Reply: {'OK', instance, epoch or false, cursor, position or false, shell id or false}.
local function claim(_, args)
  local cursor_key = 'cdb:cursor:' .. args[1]
  local epoch = redis.call('GET', 'cdb:epoch')
  local instance = redis.call('HINCRBY', cursor_key, 'instance', 1)
  redis.call('HDEL', cursor_key, 'ticket') -- tickets count within one instance
  local state = redis.call('HMGET', cursor_key, 'seq', 'position', 'shell_id')
  return {'OK', tostring(instance), epoch, state[1] or '0', state[2], state[3]}
end

-- How far the total order has come.
--
-- Reply: {'OK', epoch or false, lock-step or false, the counters, first and last of the seqs that
-- were left out, lowest seq from which on nothing is trimmed} or a refusal.
local function heads(_, _)
  local counters = redis.call('HMGET', COUNTERS, 'seq', 'producer')
  local head, refusal = checked_head(counters[1], counters[2])
  if not head then
    return refusal
  end
  local trimmed = 0
  for _, name in ipairs(SERVICES) do
    local its = redis.call('HGET', 'cdb:cursor:' .. name, 'trimmed')
    trimmed = math.max(trimmed, tonumber(its or '0') or 0)
  end
  return {'OK', redis.call('GET', 'cdb:epoch'), redis.call('GET', 'cdb:lockstep'),
    redis.call('HGETALL', COUNTERS), redis.call('HGETALL', 'cdb:left_out'),
    text(math.min(trimmed, head + 1))}
end

-- Publish a batch, or acknowledge an input, or both: one step of the one total order.
--
-- Everything that can be refused is checked before the first write, because Redis does not roll a
-- function back.
--
-- args: service, epoch, instance, ticket, cursor, position, shell id, lock-step ('1', '0' or ''),
-- then topic and body of each event; a body is a JSON object without its closing brace.
-- Reply: {'OK', first seq, last seq, head} or {reason of the refusal, detail}.
local FIRST_EVENT = 9

local function publish(_, args)
  local service, epoch, instance, ticket = args[1], args[2], args[3], args[4]
  local cursor, position, shell_id, lockstep = tonumber(args[5]), args[6], args[7], args[8]
  local cursor_key = 'cdb:cursor:' .. service
  local journal = 'cdb:journal:' .. service

  local topics, topic_seqs = {}, {}
  local own = {'instance', 'ticket', 'first', 'last', 'seq', 'shell_id'}
  local query = {'seq', 'producer'}
  local fixed, asked = #own, #query
  for i = FIRST_EVENT, #args, 2 do
    local topic = args[i]
    if not topic_seqs[topic] then
      topic_seqs[topic] = 0
      topics[#topics + 1] = topic
      own[#own + 1] = 'topic_seq:' .. topic
      query[#query + 1] = 'topic_seq:' .. topic
    end
  end

  -- Who asks.
  local known = redis.call('GET', 'cdb:epoch')
  if known ~= epoch then
    return {'EPOCH', 'the bus is at epoch ' .. tostring(known) .. ', not ' .. epoch}
  end
  local mine = redis.call('HMGET', cursor_key, unpack(own))
  if mine[1] ~= instance then
    return {'FENCED', 'instance ' .. tostring(mine[1]) .. ' took over from ' .. instance}
  end

  -- Where the order stands.
  local counters = redis.call('HMGET', COUNTERS, unpack(query))
  local head, refusal = checked_head(counters[1], counters[2])
  if not head then
    return refusal
  end
  local count = (#args - FIRST_EVENT + 1) / 2
  local done = tonumber(mine[5] or '0')
  local newest = (count > 0 and counters[2] ~= service) and newest_of(service) or 0
  if newest > head or done > head then
    return {'COUNTERS', 'the counters are at ' .. text(head) .. ', ' .. service .. ' was at '
      .. text(math.max(newest, done))}
  end
  for i, topic in ipairs(topics) do
    local given, last = tonumber(counters[asked + i] or '0'), tonumber(mine[fixed + i] or '0')
    if not given or given > head or given < last
      or (last > 0 and given > last and not SHARED[topic]) then
      return {'COUNTERS', 'the counters are at number ' .. tostring(counters[asked + i]) .. ' of '
        .. topic .. ', ' .. service .. ' was at ' .. text(last)}
    end
    topic_seqs[topic] = given
  end

  if mine[2] == ticket then -- the reply was lost, the batch was not
    return {'OK', mine[3], mine[4], text(head)}
  end
  if mine[2] and tonumber(mine[2]) > tonumber(ticket) then -- from a connection given up long ago
    return {'FENCED', 'publication ' .. ticket .. ' comes after ' .. mine[2]}
  end
  if tonumber(ticket) ~= tonumber(mine[2] or '0') + 1 then -- the server came back with less
    return {'LOST', 'publication ' .. ticket .. ' follows ' .. tostring(mine[2])
      .. ': Redis lost some'}
  end
  if shell_id ~= '' and mine[6] == shell_id then -- a restarted shell makes its last event again
    redis.call('HSET', cursor_key, 'ticket', ticket, 'first', '0', 'last', '0')
    return {'OK', '0', '0', text(head)}
  end

  -- The input.
  if cursor then
    if cursor <= done then
      return {'STALE_CURSOR', 'cursor ' .. text(cursor) .. ' is not after ' .. text(done)}
    end
    if cursor > head then
      return {'FUTURE_CURSOR', 'cursor ' .. text(cursor) .. ' is after the head ' .. text(head)}
    end
  end

  -- The outputs: rights to their topics, and to the journal.
  for _, topic in ipairs(topics) do
    if not redis.acl_check_cmd('PUBLISH', topic, '') then
      return {'TOPIC', service .. ' must not publish on ' .. topic}
    end
  end
  if count > 0 and not redis.acl_check_cmd('XADD', journal, '*', 'e', '') then
    return {'TOPIC', 'this user must not write the journal of ' .. service}
  end
  if lockstep ~= '' and not redis.acl_check_cmd('SET', 'cdb:lockstep', lockstep) then
    return {'TOPIC', service .. ' must not start a run'}
  end

  -- The turn: outputs enter in the order of the one-process queue, by cause and then by stage. In
  -- lock-step every stage acknowledges every seq, so "has done all before" is one comparison.
  local in_step = redis.call('GET', 'cdb:lockstep')
  if in_step == '1' and cursor and count > 0 then
    local rank
    for i, name in ipairs(STAGE_ORDER) do
      if name == service then rank = i end
    end
    for i, name in ipairs(STAGE_ORDER) do
      if rank and i ~= rank then
        local reached = tonumber(redis.call('HGET', 'cdb:cursor:' .. name, 'seq') or '0')
        local needed = i < rank and cursor or cursor - 1
        if reached < needed then
          return {'TURN', name .. ' is at ' .. text(reached) .. ', not at ' .. text(needed)}
        end
      end
    end
  end

  -- From here on nothing is refused. The counters go first: no seq is ever given out twice.
  local first, last = '0', '0'
  if count > 0 then
    first, last = text(head + 1), text(head + count)
  end
  local note = {'ticket', ticket, 'first', first, 'last', last, 'epoch', epoch}
  if count > 0 then
    local update, ends, running = {'seq', last, 'producer', service}, {}, {}
    local seq = head
    for i = FIRST_EVENT, #args, 2 do
      local topic = args[i]
      seq = seq + 1
      running[topic] = (running[topic] or topic_seqs[topic]) + 1
      ends[topic] = seq
    end
    for _, topic in ipairs(topics) do
      local reached = text(running[topic])
      update[#update + 1] = 'topic_seq:' .. topic
      update[#update + 1] = reached
      update[#update + 1] = 'topic_head:' .. topic
      update[#update + 1] = text(ends[topic])
      note[#note + 1] = 'topic_seq:' .. topic
      note[#note + 1] = reached
    end
    redis.call('HSET', COUNTERS, unpack(update))
  end
  if cursor then
    note[#note + 1] = 'seq'
    note[#note + 1] = text(cursor)
  end
  if position ~= '' then
    note[#note + 1] = 'position'
    note[#note + 1] = position
  end
  if shell_id ~= '' then
    note[#note + 1] = 'shell_id'
    note[#note + 1] = shell_id
  end
  redis.call('HSET', cursor_key, unpack(note))
  if lockstep ~= '' then
    redis.call('SET', 'cdb:lockstep', lockstep)
  end

  local seq = head
  for i = FIRST_EVENT, #args, 2 do
    local topic = args[i]
    seq = seq + 1
    local topic_seq = topic_seqs[topic] + 1
    topic_seqs[topic] = topic_seq
    local seq_text = text(seq)
    local body = args[i + 1] .. ',"seq":' .. seq_text .. ',"topic_seq":' .. text(topic_seq) .. '}'
    redis.call('XADD', journal, seq_text .. '-0', 'e', body)
    redis.call('PUBLISH', topic, body)
  end
  return {'OK', first, last, text(seq)}
end

-- Save a snapshot, unless another instance took over or a newer one is there.
--
-- A predecessor that wakes up must not put an old snapshot back: the journal behind the newer one
-- may be trimmed already.
--
-- args: service, epoch, instance, cursor, then the snapshot's fields and values.
local function snapshot(_, args)
  local snapshot_key = 'cdb:snapshot:' .. args[1]
  if redis.call('GET', 'cdb:epoch') ~= args[2] then
    return {'EPOCH', 'the bus is no longer at epoch ' .. args[2]}
  end
  if redis.call('HGET', 'cdb:cursor:' .. args[1], 'instance') ~= args[3] then
    return {'FENCED', 'another instance took over from ' .. args[3]}
  end
  local saved = redis.call('HMGET', snapshot_key, 'epoch', 'cursor')
  if saved[1] == args[2] and tonumber(saved[2]) > tonumber(args[4]) then
    return {'STALE_CURSOR', 'a snapshot at ' .. saved[2] .. ' is there already'}
  end
  redis.call('HSET', snapshot_key, unpack(args, 5))
  return {'OK'}
end

-- Trim one's own journal behind a seq, and say so: who reads from before it must not see a hole.
-- The newest entry stays: the counters are compared with it.
--
-- args: service, lowest seq that stays.
local function trim(_, args)
  local cursor_key, wanted = 'cdb:cursor:' .. args[1], tonumber(args[2])
  local kept = tonumber(redis.call('HGET', cursor_key, 'trimmed') or '0')
  if kept >= wanted then -- what is gone stays gone, whichever seq is asked for now
    return {'OK'}
  end
  redis.call('HSET', cursor_key, 'trimmed', args[2])
  local lowest = text(math.min(wanted, newest_of(args[1])))
  -- Whole nodes only, but all of them: by itself '~' stops after 10,000 entries, less than a
  -- market makes.
  redis.call('XTRIM', 'cdb:journal:' .. args[1], 'MINID', '~', lowest .. '-0', 'LIMIT', 0)
  return {'OK'}
end

-- Put counters right, each only if it still is what was seen.
--
-- args: name, value seen ('' if it was missing), right value ('' to remove it), and so on.
-- Reply: how many were changed.
local function heal(_, args)
  local changed = 0
  for i = 1, #args, 3 do
    local name, seen, right = args[i], args[i + 1], args[i + 2]
    if (redis.call('HGET', COUNTERS, name) or '') == seen then
      changed = changed + 1
      if right == '' then
        redis.call('HDEL', COUNTERS, name)
      else
        redis.call('HSET', COUNTERS, name, right)
      end
    end
  end
  return changed
end

-- What acknowledges, trims or puts right goes on when the memory is full; a function without that
-- flag is refused whole, before its first command.
local even_full = {'allow-oom'}
redis.register_function{function_name = 'cdb_publish', callback = publish, flags = even_full}
redis.register_function{function_name = 'cdb_publish_ticks', callback = publish}
redis.register_function{function_name = 'cdb_claim', callback = claim, flags = even_full}
redis.register_function{function_name = 'cdb_snapshot', callback = snapshot, flags = even_full}
redis.register_function{function_name = 'cdb_trim', callback = trim, flags = even_full}
redis.register_function{function_name = 'cdb_heal', callback = heal, flags = even_full}
redis.register_function{function_name = 'cdb_heads', callback = heads, flags = {'no-writes'}}
