-- Save a snapshot, unless another instance took over or a newer one is there.
--
-- A predecessor that wakes up must not put an old snapshot back: the journal behind the newer one
-- may be trimmed already.
--
-- ARGV: service, epoch, instance, cursor, then the snapshot's fields and values.

local snapshot_key = 'cdb:snapshot:' .. ARGV[1]
if redis.call('GET', 'cdb:epoch') ~= ARGV[2] then
  return {'EPOCH', 'the bus is no longer at epoch ' .. ARGV[2]}
end
if redis.call('HGET', 'cdb:cursor:' .. ARGV[1], 'instance') ~= ARGV[3] then
  return {'FENCED', 'another instance took over from ' .. ARGV[3]}
end
local saved = redis.call('HMGET', snapshot_key, 'epoch', 'cursor')
if saved[1] == ARGV[2] and tonumber(saved[2]) > tonumber(ARGV[4]) then
  return {'STALE_CURSOR', 'a snapshot at ' .. saved[2] .. ' is there already'}
end
redis.call('HSET', snapshot_key, unpack(ARGV, 5))
return {'OK'}
