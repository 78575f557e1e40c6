#!/usr/bin/env python3
"""Embed the texts of the command line: `python embed.py "first text" "second text"`."""

import json
import os
import sys

import requests

SERVER = os.environ.get("SATSUMA_URL", "http://127.0.0.1:7768")
ACCOUNT = os.environ.get("CLOUDFLARE_ACCOUNT_ID", "local")
TOKEN = os.environ.get("CLOUDFLARE_API_TOKEN", "none")

response = requests.post(
    f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/run/@cf/baai/bge-base-en-v1.5",
    headers={"Authorization": f"Bearer {TOKEN}"},
    json={"text": sys.argv[1:]},
    timeout=60,
)
answer = response.json()
if not answer["success"]:
    sys.exit(answer["errors"][0]["message"])
json.dump(answer["result"], sys.stdout)
