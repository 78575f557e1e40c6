#!/bin/sh
# Embed a JSON body: ./embed.sh '{"text": ["first text", "second text"]}'
server=${SATSUMA_URL:-http://127.0.0.1:7768}
account=${CLOUDFLARE_ACCOUNT_ID:-local}

curl --silent --show-error \
  "$server/client/v4/accounts/$account/ai/run/@cf/baai/bge-base-en-v1.5" \
  --header "Authorization: Bearer ${CLOUDFLARE_API_TOKEN:-none}" \
  --data "$1"
