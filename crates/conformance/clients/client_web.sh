#!/usr/bin/env bash
# curl and git over HTTP: the same calls, and what comes of them, to the address in BASE, with the arguments for curl in CURL.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086
ask() { curl -sS --max-time 60 ${CURL:-} "$@"; }
told() { ask "$@" | python3 -c 'import json, sys; told = json.load(sys.stdin); print(told["method"], told["path"], told["body"][:80], len(told["body"]))'; }

told "$BASE/told?x=1"
told -d a=1 -d b=2 "$BASE/told"
told -H 'content-type: application/json' -d '{"a": 1}' "$BASE/told"
head -c 300000 /dev/zero | told -T - -H 'content-type: application/octet-stream' "$BASE/told"
told -X PURGE "$BASE/told"
told -H 'expect: 100-continue' -d "$(printf 'x%.0s' {1..2000})" "$BASE/told"
for path in people people.gz people.txt split lines picture part empty 'big?n=5000000'; do
    ask -o "$work/body" -w "$path %{http_code} %{content_type} %{size_download}\n" "$BASE/$path"
    sha256sum <"$work/body"
done
ask --compressed "$BASE/people.gz" | sha256sum
ask -I -o /dev/null -w 'head %{http_code}\n' "$BASE/people"
ask -L -o /dev/null -w 'moved %{http_code} %{num_redirects}\n' "$BASE/moved"
ask --http1.1 --suppress-connect-headers -D - "$BASE/hints" | grep -Ei '^(HTTP|link|x-contact|hinted)' | tr -d '\r'
ask -N "$BASE/events" | sha256sum

export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 HOME=$work
git config --global user.name tests && git config --global user.email tests@corp.example && git config --global init.defaultBranch main
[ -z "${GIT_HEADER:-}" ] || git config --global http.extraHeader "$GIT_HEADER"
git clone -q "$BASE/git/repo.git" "$work/repo" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
cd "$work/repo"
head -c 2000000 /dev/urandom >"big-$1" && git add . && git commit -q -m "$1"
git push -q origin HEAD:refs/heads/"$1"
git fetch -q && git rev-parse --verify -q "refs/remotes/origin/$1" >/dev/null && echo pushed
