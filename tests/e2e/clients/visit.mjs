// SPDX-License-Identifier: BSD-2-Clause
//
// visit.mjs - visits by Node's own TLS (node-https, node-h2) and by browser profiles
// (wreq-chrome_142, wreq-firefox_146, ...), many sources in one process.
//
// 	visit.mjs STACK <SCHEDULE
//
// One visit a line, blank-separated:
// 	AT_MS  SRC  VIA  N  GAP_MS  KIND  [TAG]
// At AT_MS after the start one new connection from SRC ("-": any) makes N requests of
// KIND, GAP_MS apart: small, big, sse (GET), post-small, post-big, post-sse (the same
// asked for by POST), post (an echo of 370 bytes). VIA: "-" straight to the edge, or
// connect:ADDR:PORT, socks:ADDR:PORT, tcp:ADDR:PORT (IPv6 in brackets).
// One result a visit: {"at","stack","src","via","tag","port","ok","failed","why"}.
//
// Environment: EDGE4, EDGE6, PORT, NAME, CA (PEM file); STEER for wreq (steer.c).
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import tls from 'node:tls';

const { EDGE4, EDGE6, PORT, NAME, CA, STEER } = process.env;
const stack = process.argv[2];
const ca = fs.readFileSync(CA);
const BODY = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'word '.repeat(60) }] });
const TIMEOUT_MS = 20000;

const sleep = ms => new Promise(done => setTimeout(done, ms));

function parseVia(via) {
	const m = /^(connect|socks|tcp):\[?([^\]]*?)\]?:(\d+)$/.exec(via);
	return m && { how: m[1], host: m[2], port: +m[3] };
}

// The first n bytes (or the bytes up to a blank line) a proxy says; the rest is TLS.
async function readReply(socket, n) {
	let got = Buffer.alloc(0);
	for (;;) {
		const chunk = socket.read();
		if (chunk) {
			got = Buffer.concat([got, chunk]);
			if (n ? got.length >= n : got.includes('\r\n\r\n'))
				return got;
		} else if (socket.destroyed || socket.readableEnded) {
			throw new Error('proxy closed');
		} else {
			await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
		}
	}
}

async function throughProxy(socket, how, host) {
	if (how === 'connect') {
		socket.write(`CONNECT ${net.isIPv6(host) ? `[${host}]` : host}:${PORT} HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
		const reply = String(await readReply(socket));
		if (!/^HTTP\/1.. 200/.test(reply))
			throw new Error(`proxy: ${reply.split('\r')[0]}`);
	} else if (how === 'socks') {
		socket.write(Buffer.from([5, 1, 0]));
		await readReply(socket, 2);
		const six = net.isIPv6(host);
		const name = Buffer.from(`${six ? 'v6' : 'v4'}.${NAME}`);
		socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name,
			Buffer.from([PORT >> 8, PORT & 255])]));
		const reply = await readReply(socket, 4);
		if (reply[1] !== 0)
			throw new Error(`proxy: SOCKS error ${reply[1]}`);
	}
}

// A connected TCP socket on which a TLS hello would reach the edge.
async function reach(v) {
	const via = parseVia(v.via);
	const six = net.isIPv6(via ? via.host : v.src);
	const edge = six ? EDGE6 : EDGE4;
	const socket = net.connect({ host: via ? via.host : edge, port: via ? via.port : +PORT,
		localAddress: v.src === '-' ? undefined : v.src, noDelay: true });
	socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('timeout')));
	await once(socket, 'connect');
	v.port = socket.localPort;
	if (via)
		await throughProxy(socket, via.how, edge);
	return socket;
}

function method(kind) {
	const [, post, path] = /^(post)?-?(.*)$/.exec(kind);
	return post ? { method: 'POST', path: `/${path || 'echo'}`, body: BODY } :
		{ method: 'GET', path: `/${path}` };
}

async function overHttp1(v, each) {
	const socket = await reach(v);
	const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
	agent.createConnection = () => tls.connect({ socket, servername: NAME, ca,
		ALPNProtocols: ['http/1.1'] });
	await each(({ method, path, body }) => new Promise((done, fail) => {
		const headers = body ? { 'content-type': 'application/json', 'content-length': body.length } : {};
		const request = https.request({ agent, host: NAME, method, path, headers }, answer => {
			answer.on('error', fail);
			answer.on('end', () => answer.statusCode === 200 ? done() : fail(new Error(`status ${answer.statusCode}`)));
			answer.resume();
		});
		request.on('error', fail);
		request.end(body);
	})).finally(() => { agent.destroy(); socket.destroy(); });
}

async function overHttp2(v, each) {
	const socket = await reach(v);
	const session = http2.connect(`https://${NAME}`, {
		createConnection: () => tls.connect({ socket, servername: NAME, ca, ALPNProtocols: ['h2'] }) });
	const broken = new Promise((_, fail) => session.on('error', fail));
	broken.catch(() => {});
	await each(({ method, path, body }) => Promise.race([broken, new Promise((done, fail) => {
		const request = session.request({ ':method': method, ':path': path,
			...(body && { 'content-type': 'application/json' }) });
		let status;
		request.on('response', h => { status = h[':status']; });
		request.on('error', fail);
		request.on('close', () => status === 200 ? done() : fail(new Error(`status ${status}`)));
		request.resume();
		request.end(body);
	})])).finally(() => { session.destroy(); socket.destroy(); });
}

// 10.B.C.D -> 250.B.C.D, 2001:db8:X:Y::1 -> 100::X:Y: see steer.c.
function steered(src) {
	if (net.isIPv4(src))
		return src.replace(/^10\./, '250.');
	const words = src.replace(/::.*/, '').split(':');
	return `100::${words[2] ?? 0}:${words[3] ?? 0}`;
}

let wreq;
async function overWreq(v, each) {
	const via = parseVia(v.via);
	const six = net.isIPv6(via ? via.host : v.src);
	const name = via ? `${six ? 'v6' : 'v4'}.${NAME}` : NAME;
	const host = via && net.isIPv6(via.host) ? `[${via.host}]` : via?.host;
	const direct = via?.how === 'tcp' ? via.host : v.src === '-' ? (six ? EDGE6 : EDGE4) : steered(v.src);
	const transport = await wreq.createTransport({
		browser: stack.slice('wreq-'.length), os: 'windows', trustStore: 'defaultPaths',
		...(via && via.how !== 'tcp' ?
			{ proxy: `${via.how === 'socks' ? 'socks5h' : 'http'}://${host}:${via.port}` } :
			{ resolve: { [name]: direct } }) });
	const port = via?.how === 'tcp' ? via.port : PORT;
	await each(async ({ method, path, body }) => {
		const answer = await wreq.fetch(`https://${name}:${port}${path}`, { transport, method, body,
			timeout: TIMEOUT_MS, headers: body ? { 'content-type': 'application/json' } : {} });
		await answer.arrayBuffer();
		if (answer.status !== 200)
			throw new Error(`status ${answer.status}`);
	}).finally(() => transport.close());
}

const over = stack.startsWith('wreq-') ? overWreq : stack === 'node-h2' ? overHttp2 : overHttp1;

async function visit(line) {
	const [at, src, via, n, gap, kind, tag] = line.split(/\s+/);
	const v = { src, via };
	const result = { at: +at, stack, src, via, tag, port: null, ok: 0, failed: 0 };

	await sleep(+at - performance.now() + started);
	await over(v, async request => {
		for (let i = 0; i < +n; i++) {
			if (i)
				await sleep(+gap);
			await request(method(kind));
			result.ok++;
		}
	}).catch(e => {
		result.failed = +n - result.ok;
		result.why = String(e.code ?? e.message).slice(0, 80);
	});
	result.port = v.port ?? null;
	console.log(JSON.stringify(result));
}

if (over === overWreq) {
	// The preload and the trusted file must be there when the process starts.
	if (!process.env.LD_PRELOAD) {
		const again = spawnSync(process.execPath, process.argv.slice(1), { stdio: 'inherit',
			env: { ...process.env, LD_PRELOAD: STEER, SSL_CERT_FILE: CA } });
		process.exit(again.status ?? 1);
	}
	wreq = createRequire(`${process.env.NODE_PATH}/`)('wreq-js');
}

const lines = fs.readFileSync(0, 'utf8').split('\n').filter(l => l && l[0] !== '#');
const started = performance.now();
await Promise.all(lines.map(visit));
process.exit(0);
