-- Claim a service's place: the newest claimer wins, and learns where its predecessor stopped.
--
-- ARGV: service. Reply: {instance, epoch or false, cursor, position or false, shell id or false}.

local cursor_key = 'cdb:cursor:' .. ARGV[1]
local epoch = redis.call('GET', 'cdb:epoch')
local instance = redis.call('HINCRBY', cursor_key, 'instance', 1)
redis.call('HDEL', cursor_key, 'ticket') -- tickets count within one instance
local state = redis.call('HMGET', cursor_key, 'seq', 'position', 'shell_id')
return {tostring(instance), epoch, state[1] or '0', state[2], state[3]}
