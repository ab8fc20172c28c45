# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# lib.sh - stories in network namespaces; a story sources this and calls net_up.
#
#	edge	nginx and winnow live here; eth0 is the protected device
#	world	everybody who talks to it; every address of $WORLD4 and $WORLD6 is local
#	op	behind world's eth1: who hides behind proxies and relays (net_far only)
#	wire	holds the forwarder between them (net_far only)
#
# Output is "ok N - text" and "not ok N - text"; exit 0 all ok, 1 not, 77 skipped.
# Whatever a story leaves behind - processes, namespaces, pins, files - its trap removes.
#
# Use `on NS cmd`, never `ip netns exec`: that one mounts a fresh /sys and hides bpffs.

set -u
E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TREE=$(cd "$E2E/../.." && pwd)
BUILD=${BUILD:-$TREE/build}
CLIENTS=$E2E/clients
TOOLS=$BUILD/tests/e2e
WINNOW=${WINNOW:-$BUILD/winnow}
WINNOWD=${WINNOWD:-$BUILD/winnowd}
export NODE_PATH=${NODE_PATH:-$BUILD/node/node_modules}

RUN=wn-$$
EDGE=$RUN-edge WORLD=$RUN-world OP=$RUN-op WIRE=$RUN-wire
EDGE4=198.51.100.10 EDGE6=2001:db8:ed9e::10
WORLD4=10.0.0.0/8 WORLD6=2001:db8::/33		# any of these can be a client's address
GATE4=198.51.100.1 GATE6=2001:db8:ed9e::1	# world's own, the edge's gateway
NAME=api.winnow.test
PORT=443

TMP=$(mktemp -d "${TMPDIR:-/tmp}/$RUN.XXXXXX")
chmod 711 "$TMP"
PINS=/sys/fs/bpf/$RUN
PIDS=()
nginx_pid='' origin_pid='' tcpdump_pid='' forwarder_pid='' winnowd_pid=''	# set by start
export nginx_pid origin_pid forwarder_pid
CHECKS=0
FAILED=0

# ---- the end, whatever happens ---------------------------------------------------

cleanup() {
	local status=$? ns pid
	trap '' EXIT INT TERM
	exec 2>/dev/null	# bash would name every process it buries
	for pid in "${PIDS[@]-}"; do
		[ -n "$pid" ] && kill "$pid" 2>/dev/null
	done
	for ns in "$EDGE" "$WORLD" "$OP" "$WIRE"; do
		[ -e "/run/netns/$ns" ] || continue
		for pid in $(ip netns pids "$ns" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$ns"
	done
	for pid in "${PIDS[@]-}"; do
		[ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	rm -rf "$PINS"	# tables, programs, links
	[ -n "${KEEP:-}" ] && echo "# kept $TMP" || rm -rf "$TMP"
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What a story left that was killed before its trap could run; its shell is gone.
sweep() {
	local ns pid
	for ns in /run/netns/wn-*; do
		ns=${ns##*/}
		pid=${ns#wn-}
		pid=${pid%%-*}
		[ "$pid" = '*' ] || [ -e "/proc/$pid" ] && continue
		for pid in $(ip netns pids "$ns" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$ns"
		rm -rf "/sys/fs/bpf/${ns%-*}"
	done
}

# ---- claims ------------------------------------------------------------------------

note() { printf '# %s\n' "$*"; }

# check TEXT CMD...: the claim holds if the command succeeds; its output is shown if not.
check() {
	local text=$1 said
	shift
	CHECKS=$((CHECKS + 1))
	if said=$("$@" 2>&1); then
		printf 'ok %d - %s\n' $CHECKS "$text"
	else
		FAILED=$((FAILED + 1))
		printf 'not ok %d - %s\n' $CHECKS "$text"
		printf '%s\n' "$said" | tail -n 12 | sed 's/^/#   /'
		return 1
	fi
}

not() { ! "$@"; }

# eventually SECONDS CMD...: until it succeeds; its last output if it never does.
eventually() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000)) said
	shift
	while :; do
		said=$("$@" 2>&1) && return 0
		[ "${EPOCHREALTIME/./}" -lt $deadline ] || break
		sleep 0.05
	done
	printf '%s\n' "$said"
	return 1
}

skip() {
	echo "skip - $*"
	exit 77
}

finish() {
	printf '1..%d\n' $CHECKS
	[ $FAILED -eq 0 ] && [ $CHECKS -gt 0 ]
	exit
}

need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# ---- processes ---------------------------------------------------------------------

on() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- "$@"
}

# start NAME NS CMD...: in the background; output in $TMP/NAME.log, process in $NAME_pid.
start() {
	local name=$1 ns=$2
	shift 2
	(exec nsenter --net="/run/netns/$ns" -- "$@") >"$TMP/$name.log" 2>&1 </dev/null &
	PIDS+=($!)
	printf -v "${name//[^A-Za-z0-9]/_}_pid" %d $!
}

# As `on`, but with our names in /etc/hosts (a mount of the process' own).
client() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- unshare -m sh -c \
		'mount --bind "$0" /etc/hosts && exec "$@"' "$TMP/hosts" "$@"
}

start_client() {
	local name=$1 ns=$2
	shift 2
	start "$name" "$ns" unshare -m sh -c \
		'mount --bind "$0" /etc/hosts && exec "$@"' "$TMP/hosts" "$@"
}

said() { grep -q -- "$2" "$TMP/$1.log"; }

# ---- namespaces ----------------------------------------------------------------------

bpffs() {
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
}

namespace() {
	local ns
	for ns; do
		ip netns add "$ns" || skip "network namespaces need root"
		ip -n "$ns" link set lo up
		on "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	done
}

# cable NS_A DEV_A NS_B DEV_B
cable() {
	ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# Edge and world, next to each other.
net_up() {
	sweep
	bpffs
	namespace "$EDGE" "$WORLD"
	cable "$EDGE" eth0 "$WORLD" eth0
	addresses
	wire_segments
}

# A veth hands over what TCP built, up to 64 KiB in one piece; a network card sends
# segments. Only the world's side: the edge's device stays as users have it.
wire_segments() { on "$WORLD" ethtool -K eth0 tso off >/dev/null; }
# The other way: large receive, as some cards do it. Before winnow is attached: a
# device whose peer has XDP does not get it back.
wire_super_frames() { on "$WORLD" ethtool -K eth0 tso on >/dev/null; }

# net_far RULES LEGS: the same with a forwarder in between, and op behind a second
# one. Rules as in forwarder.c.
net_far() {
	sweep
	bpffs
	namespace "$EDGE" "$WORLD" "$OP" "$WIRE"
	on "$WIRE" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	cable "$EDGE" eth0 "$WIRE" edge0
	cable "$WORLD" eth0 "$WIRE" world0
	cable "$WORLD" eth1 "$WIRE" world1
	cable "$OP" eth0 "$WIRE" op0
	addresses
	wire_segments

	ip -n "$WORLD" addr add 172.16.0.1/30 dev eth1
	ip -n "$WORLD" addr add 2001:db8:8000::1/64 dev eth1 nodad
	ip -n "$WORLD" route add 172.16.0.0/12 via 172.16.0.2
	ip -n "$WORLD" route add 2001:db8:8000::/33 via 2001:db8:8000::2
	ip -n "$OP" addr add 172.16.0.2/30 dev eth0
	ip -n "$OP" addr add 2001:db8:8000::2/64 dev eth0 nodad
	ip -n "$OP" route add default via 172.16.0.1
	ip -n "$OP" route add default via 2001:db8:8000::1
	any_local "$OP" 172.20.0.0/14 2001:db8:c000::/36

	start forwarder "$WIRE" "$TOOLS/forwarder" "$1" world0 edge0 "$2" op0 world1
	eventually 5 said forwarder ready || { cat "$TMP/forwarder.log"; exit 1; }
}

addresses() {
	ip -n "$EDGE" addr add $EDGE4/24 dev eth0
	ip -n "$EDGE" addr add $EDGE6/64 dev eth0 nodad
	ip -n "$EDGE" route add default via $GATE4
	ip -n "$EDGE" route add default via $GATE6
	ip -n "$WORLD" addr add $GATE4/24 dev eth0
	ip -n "$WORLD" addr add $GATE6/64 dev eth0 nodad
	any_local "$WORLD" $WORLD4 $WORLD6
	printf '127.0.0.1 localhost\n%s %s v4.%s\n%s %s v6.%s\n' \
		$EDGE4 $NAME $NAME $EDGE6 $NAME $NAME >"$TMP/hosts"
}

# Whole prefixes are this namespace's own: programs bind to any address of them.
any_local() {
	local ns=$1 prefix
	shift
	on "$ns" sysctl -qw net.ipv6.ip_nonlocal_bind=1 net.ipv4.ip_local_port_range='1024 65535'
	for prefix; do
		ip -n "$ns" route add local "$prefix" dev lo
	done
}

# ---- the edge's nginx ------------------------------------------------------------------

# Root, intermediate and leaf, ECDSA, once a run; clients trust $TMP/ca.pem. Public
# leaves carry about 600 bytes of policies, URLs and timestamps: so does this one, for
# a server flight of two segments as everybody's (1.9 kB).
certificate() {
	local kind=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2)
	(
		cd "$TMP" || exit
		openssl req -x509 "${kind[@]}" -subj "/CN=winnow test root" -keyout ca.key -out ca.pem
		openssl req -x509 "${kind[@]}" -CA ca.pem -CAkey ca.key \
			-subj "/O=winnow test/CN=intermediate" \
			-addext "keyUsage=critical,keyCertSign,digitalSignature" \
			-keyout mid.key -out mid.pem
		openssl req -x509 "${kind[@]}" -CA mid.pem -CAkey mid.key -subj "/CN=$NAME" \
			-addext "basicConstraints=critical,CA:false" \
			-addext "subjectAltName=DNS:$NAME,DNS:v4.$NAME,DNS:v6.$NAME" \
			-addext "nsComment=$(printf '%0600d' 0)" -keyout key.pem -out leaf.pem
		cat leaf.pem mid.pem >chain.pem
	) 2>"$TMP/openssl.log" || { cat "$TMP/openssl.log"; exit 1; }
}

# web_up [TLS_VERSIONS [NGINX_LINE]]: GET or POST /small /big /sse; POST /echo. The log has one
# line a request: address port connection request protocol method path status bytes.
web_up() {
	need nginx openssl python3
	certificate
	mkdir -p "$TMP/nginx"
	cat >"$TMP/nginx.conf" <<-EOF
		worker_processes 2;
		daemon off;
		pid $TMP/nginx/pid;
		error_log $TMP/nginx/error.log warn;
		worker_rlimit_nofile 16384;
		events { worker_connections 8192; }
		http {
			log_format story '\$remote_addr \$remote_port \$connection \$connection_requests '
				'\$server_protocol \$request_method \$uri \$status \$body_bytes_sent '
				'\$ssl_protocol \$ssl_session_reused \$msec';
			access_log $TMP/access.log story;
			client_body_temp_path $TMP/nginx/body;
			proxy_temp_path $TMP/nginx/proxy;
			fastcgi_temp_path $TMP/nginx/fastcgi;
			uwsgi_temp_path $TMP/nginx/uwsgi;
			scgi_temp_path $TMP/nginx/scgi;
			keepalive_requests 10000;
			types { }
			default_type application/json;
			upstream origin { server unix:$TMP/origin.sock; keepalive 64; }
			server {
				listen $PORT ssl http2 backlog=4096;
				listen [::]:$PORT ssl http2 backlog=4096;
				ssl_certificate $TMP/chain.pem;
				ssl_certificate_key $TMP/key.pem;
				ssl_protocols ${1:-TLSv1.2 TLSv1.3};
				ssl_session_cache shared:s:10m;
				${2:-}
				location / {
					proxy_pass http://origin;
					proxy_http_version 1.1;
					proxy_set_header Connection "";
					proxy_buffering off;
				}
			}
		}
	EOF
	chown nobody "$TMP/nginx" 2>/dev/null
	start origin "$EDGE" python3 "$CLIENTS/origin.py" "$TMP/origin.sock"
	start nginx "$EDGE" nginx -p "$TMP/nginx" -c "$TMP/nginx.conf" -g 'user nobody nogroup;'
	eventually 10 said origin ready || { cat "$TMP/origin.log"; exit 1; }
	eventually 10 listening || { cat "$TMP/nginx.log" "$TMP/nginx/error.log"; exit 1; }
}

listening() { on "$EDGE" ss -Htln "sport = :$PORT" | grep -q LISTEN; }

# Requests in the access log, optionally only lines that match.
logged() { grep -cE -- "${1:-.}" "$TMP/access.log"; }

# ---- captures ------------------------------------------------------------------------------

# capture FILE: all that passes the edge's device, as winnow's replay wants it.
capture() {
	need tcpdump
	start tcpdump "$EDGE" tcpdump -i eth0 --immediate-mode -U -n -s 0 -B 32768 -w "$1" "${2:-port $PORT}"
	eventually 5 said tcpdump 'listening on' || { cat "$TMP/tcpdump.log"; exit 1; }
}

# All that has passed is in the file when this returns.
capture_end() {
	kill -INT "$tcpdump_pid"
	wait "$tcpdump_pid" 2>/dev/null
}

# ---- clients -------------------------------------------------------------------------------

# visits STACK [NS] <SCHEDULE: the visits of clients/visit.py's format, result lines on
# stdout. Every stack but the named libraries' own programs is one cheap process.
visits() {
	local stack=$1 ns=${2:-$WORLD} program
	clients_built
	read -ra program <<<"$(visitor "$stack")"
	EDGE4=$EDGE4 EDGE6=$EDGE6 PORT=$PORT NAME=$NAME CA=$TMP/ca.pem STEER=$TOOLS/steer.so \
		client "$ns" "${program[@]}" "$stack"
}

visitor() {
	case $1 in
	node-* | wreq-*) echo node --no-warnings "$CLIENTS/visit.mjs" ;;
	java) echo java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -cp "$TOOLS" Visit ;;
	*) echo python3 "$CLIENTS/visit.py" ;;
	esac
}

# visit STACK SRC [N [KIND]]: one connection; succeeds if every request did.
visit() {
	local line
	line=$(printf '0 %s - %d 50 %s story\n' "$2" "${3:-1}" "${4:-post}" | visits "$1")
	echo "$line"
	jq -se 'length == 1 and .[0].failed == 0 and .[0].ok > 0' <<<"$line" >/dev/null
}

# hello_file FILE [PROTOCOL]: what a Python client would say first, as bytes. With a
# protocol's name it is another stack's hello, and a longer one.
hello_file() {
	python3 - "$NAME" "${2:-}" >"$1" <<-'EOF'
		import ssl, sys
		read, write = ssl.MemoryBIO(), ssl.MemoryBIO()
		context = ssl.create_default_context()
		if sys.argv[2]:
		    context.set_alpn_protocols([sys.argv[2]] * 9)
		tls = context.wrap_bio(read, write, server_hostname=sys.argv[1])
		try:
		    tls.do_handshake()
		except ssl.SSLWantReadError:
		    sys.stdout.buffer.write(write.read())
	EOF
}

# frames <COMMANDS: raw frames from world to the edge (frames.c).
frames() {
	on "$WORLD" "$TOOLS/frames" eth0 "$(on "$EDGE" ip -br link show eth0 | awk '{ print $3 }')"
}

# What make does not: the Java class and the preload that gives a program its address.
clients_built() {
	mkdir -p "$TOOLS"
	[ "$TOOLS/steer.so" -nt "$CLIENTS/steer.c" ] ||
		gcc -O2 -Wall -shared -fPIC -o "$TOOLS/steer.so" "$CLIENTS/steer.c" -ldl
	! command -v javac >/dev/null || [ "$TOOLS/Visit.class" -nt "$CLIENTS/Visit.java" ] ||
		javac -d "$TOOLS" "$CLIENTS/Visit.java"
}

# ---- winnow ----------------------------------------------------------------------------------

# winnow_up [native|generic]: the daemon in the edge, its device attached. A story of five
# clients would not get past max_share. Lines of
# $WINNOW_CONF are settings of [winnow] beyond these; with $WINNOW_USER it is that user
# with three capabilities, not root.
winnow_up() {
	[ -x "$WINNOWD" ] && [ -x "$WINNOW" ] || skip "winnow is not built"
	mkdir -p "$TMP/state" "$TMP/run" "$PINS"
	cat >"$TMP/winnow.conf" <<-EOF
		[winnow]
		interfaces = eth0
		ports = $PORT
		mode = ${1:-native}
		$(unless_said enforce yes)
		$(unless_said max_share 100%)
		state_dir = $TMP/state
		run_dir = $TMP/run
		bpffs = $PINS
		${WINNOW_CONF:-}
	EOF
	winnowd_start
}

unless_said() { grep -qE "^[[:space:]]*$1 *=" <<<"${WINNOW_CONF:-}" || echo "$1 = $2"; }

winnowd_start() {
	local as=()
	if [ -n "${WINNOW_USER:-}" ]; then
		chown -R "$WINNOW_USER" "$TMP/state" "$TMP/run" "$PINS"
		local caps=+bpf,+net_admin,+perfmon
		as=(setpriv --reuid "$WINNOW_USER" --regid nogroup --clear-groups
			--inh-caps "$caps" --ambient-caps "$caps" --bounding-set "-all,$caps")
	fi
	start winnowd "$EDGE" "${as[@]}" "$WINNOWD" -f -c "$TMP/winnow.conf"
	eventually 60 attached || { cat "$TMP/winnowd.log"; exit 1; }
}

attached() { w status -j | jq -se '[.. | strings] | any(. == "eth0")'; }

# The daemon dies without a word.
winnowd_kill() {
	kill -KILL "$winnowd_pid"
	wait "$winnowd_pid" 2>/dev/null
	! [ -e "/proc/$winnowd_pid" ]
}

w() { on "$EDGE" "$WINNOW" --socket "$TMP/run/control.sock" "$@"; }

# A source as winnow writes it.
source_name() { [[ $1 == *:* ]] && echo "${1%::*}::/64" || echo "$1"; }

# tally FIELD SRC [STACK]: the sum over the source's rows; 0 if it has none.
tally() {
	w source list --jsonl | jq -s --arg f "$1" --arg src "$(source_name "$2")" --arg s "${3:-}" \
		'[.[] | select(.src == $src and ($s == "" or .stack == $s)) | .[$f]] | add // 0'
}

tally_is() { [ "$(tally "$1" "$2")" = "$3" ] || { echo "$1 of $2: $(tally "$1" "$2"), not $3"; false; }; }

# The stack of a source with one stack.
stack_of() {
	w source list --jsonl |
		jq -rs --arg src "$(source_name "$1")" 'first(.[] | select(.src == $src and .stack) | .stack) // empty'
}

# rule_field HANDLE PATH: from `rule list -j`, as .hits.connections
rule_field() { w rule list -j | jq --argjson h "$1" ".rules[] | select(.handle == \$h) | $2"; }

# counter NAME: from `status -j`, wherever it stands.
counter() { w status -j | jq --arg n "$1" 'first(.. | objects | select(has($n)) | .[$n]) // 0'; }

# Connections of a source that the server still holds.
server_sockets() { on "$EDGE" ss -Htn state all "sport = :$PORT" dst "$1"; }
no_server_socket() { [ -z "$(server_sockets "$1" | grep -v TIME-WAIT)" ] || { server_sockets "$1"; false; }; }
