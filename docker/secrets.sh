#!/bin/sh
# Makes the secrets that compose.yaml mounts, in docker/secrets. Those that are there stay: to renew one, delete it first.
#
# The folder is closed to others; the files are not, as the containers' users, who are not yours, must read them.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

for name in api_key admin_api_key index_secret redis_password grafana_password; do
    [ -s "secrets/$name" ] || od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name"
done

# The router's user may use the commands that the router uses, on its own keys, and nothing else; there is no default user.
hash=$(sha256sum < secrets/redis_password | cut -d' ' -f1)
keys='+del +exists +expire +pexpire +ttl +set +get +getex +mget +strlen'
hashes='+hdel +hget +hgetall +hincrby +hlen +hmget +hrandfield +hset +hsetnx'
sets='+zadd +zrange +zrem +zremrangebyscore'
streams='+xadd +xrange +xrevrange'
other='+eval +evalsha +info +ping +select +time +cluster|slots'
cat > secrets/redis_users <<END
user default off
user warmroute on #$hash resetchannels ~{warmroute}:* -@all $keys $hashes $sets $streams $other
END
chmod 644 secrets/*
