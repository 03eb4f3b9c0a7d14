-- Publish a batch, or acknowledge an input, or both: one step of the one total order.
--
-- Everything that can be refused is checked before the first write, because Redis does not roll a
-- script back. Keys are named here and not passed in KEYS: that would ask for the right to write
-- keys that a service may only read. The access rules are checked on every call below.
--
-- ARGV: service, epoch, instance, ticket, cursor, position, shell id, lock-step ('1', '0' or ''),
-- then topic and body of each event; a body is a JSON object without its closing brace.
-- Reply: {'OK', first seq, last seq, head} or {reason of the refusal, detail}.

local service, epoch, instance, ticket = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local cursor, position, shell_id, lockstep = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]
local FIRST_EVENT = 9
local COUNTERS = 'cdb:counters'
local cursor_key = 'cdb:cursor:' .. service
local journal = 'cdb:journal:' .. service

local function text(number)
  return string.format('%d', number)
end

-- Who asks.
local known = redis.call('GET', 'cdb:epoch')
if known ~= epoch then
  return {'EPOCH', 'the bus is at epoch ' .. tostring(known) .. ', not ' .. epoch}
end
local mine = redis.call('HMGET', cursor_key, 'instance', 'ticket', 'first', 'last', 'seq', 'shell_id')
if mine[1] ~= instance then
  return {'FENCED', 'instance ' .. tostring(mine[1]) .. ' took over from ' .. instance}
end
local head = tonumber(redis.call('HGET', COUNTERS, 'seq') or '0')
if mine[2] == ticket then -- the reply was lost, the batch was not
  return {'OK', mine[3], mine[4], text(head)}
end
if mine[2] and tonumber(mine[2]) > tonumber(ticket) then -- from a connection given up long ago
  return {'FENCED', 'publication ' .. ticket .. ' comes after ' .. mine[2]}
end
if tonumber(ticket) ~= tonumber(mine[2] or '0') + 1 then -- the server came back with less
  return {'LOST', 'publication ' .. ticket .. ' follows ' .. tostring(mine[2]) .. ': Redis lost some'}
end
if shell_id ~= '' and mine[6] == shell_id then -- a restarted shell makes its last event again
  redis.call('HSET', cursor_key, 'ticket', ticket, 'first', '0', 'last', '0')
  return {'OK', '0', '0', text(head)}
end

-- The input.
local done = tonumber(mine[5] or '0')
if cursor then
  if cursor <= done then
    return {'STALE_CURSOR', 'cursor ' .. text(cursor) .. ' is not after ' .. text(done)}
  end
  if cursor > head then
    return {'FUTURE_CURSOR', 'cursor ' .. text(cursor) .. ' is after the head ' .. text(head)}
  end
end

-- The outputs: rights to their topics, and the journal in step with the counters.
local count = (#ARGV - FIRST_EVENT + 1) / 2
local topics, topic_seqs, query = {}, {}, {}
for i = FIRST_EVENT, #ARGV, 2 do
  local topic = ARGV[i]
  if not topic_seqs[topic] then
    if not redis.acl_check_cmd('PUBLISH', topic, '') then
      return {'TOPIC', service .. ' must not publish on ' .. topic}
    end
    topics[#topics + 1] = topic
    query[#query + 1] = 'topic_seq:' .. topic
    topic_seqs[topic] = 0
  end
end
if count > 0 then
  if not redis.acl_check_cmd('XADD', journal, '*', 'e', '') then
    return {'TOPIC', 'this user must not write the journal of ' .. service}
  end
  local newest = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
  if newest and tonumber(string.match(newest[1], '^%d+')) > head then
    return {'EPOCH', 'journal of ' .. service .. ' is ahead of the counters: needs recovery'}
  end
  local values = redis.call('HMGET', COUNTERS, unpack(query))
  for i, topic in ipairs(topics) do
    topic_seqs[topic] = tonumber(values[i] or '0')
  end
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
local first, seq = head + 1, head
if count > 0 then
  local update, ends, running = {'seq', text(head + count)}, {}, {}
  for i = FIRST_EVENT, #ARGV, 2 do
    local topic = ARGV[i]
    seq = seq + 1
    running[topic] = (running[topic] or topic_seqs[topic]) + 1
    ends[topic] = seq
  end
  for _, topic in ipairs(topics) do
    update[#update + 1] = 'topic_seq:' .. topic
    update[#update + 1] = text(running[topic])
    update[#update + 1] = 'topic_head:' .. topic
    update[#update + 1] = text(ends[topic])
  end
  redis.call('HSET', COUNTERS, unpack(update))
end

local reply_first, reply_last = '0', '0'
if count > 0 then
  reply_first, reply_last = text(first), text(seq)
end
local note = {'ticket', ticket, 'first', reply_first, 'last', reply_last, 'epoch', epoch}
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

seq = head
for i = FIRST_EVENT, #ARGV, 2 do
  local topic = ARGV[i]
  seq = seq + 1
  local topic_seq = topic_seqs[topic] + 1
  topic_seqs[topic] = topic_seq
  local seq_text = text(seq)
  local body = ARGV[i + 1] .. ',"seq":' .. seq_text .. ',"topic_seq":' .. text(topic_seq) .. '}'
  redis.call('XADD', journal, seq_text .. '-0', 'e', body)
  redis.call('PUBLISH', topic, body)
end
return {'OK', reply_first, reply_last, text(seq)}
