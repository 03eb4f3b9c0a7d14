#!/bin/sh
# Start Redis, and put the access rule of its user `default` in force once its data is loaded.
#
# Redis replays the transactions in its append-only file (every script that wrote is one) with the
# rights of `default`, and drops what these do not allow (redis/redis#14541, in versions up to
# 8.4). So while the data is loaded `default` has all rights, and nobody can log in as it.
#
# Usage: redis-start.sh RULES [redis-server options]
set -euf
umask 077
rules=$1
shift
password=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
{
  echo "user default off resetpass ~* &* +@all"
  echo "user starter on >$password -@all +ping +acl|setuser +acl|deluser"
  grep -v '^user default ' "$rules"
} > /tmp/users.acl

(
  export REDISCLI_AUTH="$password"
  until [ "$(redis-cli --user starter ping 2> /dev/null)" = PONG ]; do sleep 0.1; done
  # One argument per word of the rule is what ACL SETUSER wants.
  # shellcheck disable=SC2046
  redis-cli --user starter acl setuser default reset $(sed -n 's/^user default //p' "$rules")
  redis-cli --user starter acl deluser starter
) &

exec redis-server --aclfile /tmp/users.acl "$@"
