-- Trim one's own journal behind a seq, and say so: who reads from before it must not see a hole.
--
-- ARGV: service, lowest seq that stays.

local kept = tonumber(redis.call('HGET', 'cdb:counters', 'trimmed:' .. ARGV[1]) or '0')
if kept >= tonumber(ARGV[2]) then -- what is gone stays gone, whoever asks for it now
  return 0
end
redis.call('HSET', 'cdb:counters', 'trimmed:' .. ARGV[1], ARGV[2])
-- Whole nodes only, but all of them: by itself '~' stops after 10,000 entries, less than a market makes.
return redis.call('XTRIM', 'cdb:journal:' .. ARGV[1], 'MINID', '~', ARGV[2] .. '-0', 'LIMIT', 0)
