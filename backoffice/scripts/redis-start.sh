#!/bin/sh
# Start Redis, load the functions of the bus, and only then let its users in.
#
# Redis replays the transactions in its append-only file (every function that wrote is one) with the
# rights of `default`, and drops what these do not allow (redis/redis#14541, in versions up to
# 8.4). So while the data is loaded `default` has all rights, and nobody can log in as it. The user
# `starter` loads the library, then the whole file of users, in which it is no longer.
#
# Usage: redis-start.sh RULES LIBRARY [redis-server options]
set -euf
umask 077
rules=$1
library=$2
shift 2
password=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
{
  echo "user default off resetpass ~* &* +@all"
  echo "user starter on >$password -@all +ping +acl|load +function|load +fcall_ro"
} > /tmp/users.acl

as_starter() {
  REDISCLI_AUTH="$password" redis-cli -e --user starter "$@"
}

(
  until [ "$(as_starter ping 2> /dev/null)" = PONG ]; do sleep 0.1; done
  digest=$(sha1sum "$library" | cut -d ' ' -f 1)
  if [ "$(as_starter fcall_ro cdb_digest 0 2> /dev/null)" != "$digest" ]; then
    {
      cat "$library"
      echo "redis.register_function{function_name='cdb_digest'," \
        "callback=function() return '$digest' end, flags={'no-writes'}}"
    } | as_starter -x function load replace
  fi
  cp "$rules" /tmp/users.acl
  as_starter acl load
) &

exec redis-server --aclfile /tmp/users.acl "$@"
