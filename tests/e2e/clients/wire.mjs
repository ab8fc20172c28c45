// SPDX-License-Identifier: BSD-2-Clause
//
// wire.mjs - a second reading of a capture, to check winnow's against.
//
// 	wire.mjs FILE.pcap [PORT] 	(classic pcap, Ethernet; PORT of the server, 443)
//
// One line a connection, in order of their hellos: {"src","sport","ja4","ja3",
// "segments","rtt_ms","d1_ms","dstar_ms"}. JA4 and JA3 are read-tls-client-hello's;
// the times follow the published rules of the hidden leg (R, D1 from the first pure
// ACK; D* from the pure ACK that covers the server's flight, else from R).
import fs from 'node:fs';
import { PassThrough } from 'node:stream';
import { createRequire } from 'node:module';

const { readTlsClientHello, calculateJa3, calculateJa4 } =
	createRequire(`${process.env.NODE_PATH}/`)('read-tls-client-hello');
const S0_MS = 1;	// what D3 has over D2 on an idle host

function* packets(file) {
	const b = fs.readFileSync(file);
	const magic = b.readUInt32LE(0);
	const unit = magic === 0xa1b23c4d ? 1e6 : 1e3;
	if (magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d)
		throw new Error(`${file}: not a little-endian pcap`);
	for (let at = 24; at + 16 <= b.length;) {
		const len = b.readUInt32LE(at + 8);
		yield { ms: b.readUInt32LE(at) * 1e3 + b.readUInt32LE(at + 4) / unit,
			frame: b.subarray(at + 16, at + 16 + len) };
		at += 16 + len;
	}
}

function six(b) {
	const words = [];
	for (let i = 0; i < 16; i += 2)
		words.push(b.readUInt16BE(i).toString(16));
	return new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1);
}

function segment({ ms, frame }) {
	const type = frame.readUInt16BE(12);
	const v4 = type === 0x0800;
	if ((!v4 && type !== 0x86dd) || frame[v4 ? 23 : 20] !== 6)
		return null;
	const ip = frame.subarray(14);
	const off = v4 ? (ip[0] & 15) * 4 : 40;
	const end = v4 ? ip.readUInt16BE(2) : 40 + ip.readUInt16BE(4);
	const tcp = ip.subarray(off, end || undefined);
	return { ms, src: v4 ? [...ip.subarray(12, 16)].join('.') : six(ip.subarray(8, 24)),
		sport: tcp.readUInt16BE(0), dport: tcp.readUInt16BE(2),
		seq: tcp.readUInt32BE(4), ack: tcp.readUInt32BE(8), flags: tcp[13], tcp,
		data: tcp.subarray((tcp[12] >> 4) * 4) };
}

function mss(tcp) {
	for (let at = 20; at + 3 < (tcp[12] >> 4) * 4;) {
		if (tcp[at] === 2)
			return tcp.readUInt16BE(at + 2);
		at += tcp[at] === 1 ? 1 : tcp[at + 1] || 64;
	}
	return 536;
}

const rel = (a, b) => (a - b) | 0;

// Bytes of the first TLS records that hold the whole handshake message, or 0.
function helloBytes(b) {
	let message = 0, need = 4;
	for (let at = 0; at + 5 <= b.length; at += 5 + b.readUInt16BE(at + 3)) {
		if (b[at] !== 22)
			return 0;
		if (!message && at + 9 <= b.length)
			need = 4 + b.readUIntBE(at + 6, 3);
		message += b.readUInt16BE(at + 3);
		if (message >= need)
			return at + 5 + b.readUInt16BE(at + 3) <= b.length ? at + 5 + b.readUInt16BE(at + 3) : 0;
	}
	return 0;
}

const [file, port = '443'] = process.argv.slice(2);
const open = new Map(), done = [];

function step(c, s) {
	if (s.flags & 2) {
		c.syn ??= s.ms;
		c.isn = s.seq;
		c.mss = mss(s.tcp);
		return;
	}
	if (c.syn === undefined || c.f2 !== undefined || !(s.flags & 16))
		return;
	if (c.ack0 === undefined) {
		c.ack0 = c.ackPl = s.ack;
		if (!s.data.length)
			c.ackAt = s.ms;
	}
	if (!s.data.length) {
		if (rel(s.ack, c.ackPl) > 0) {
			c.ackPl = s.ack;
			c.plAt = s.ms;
		}
		return;
	}
	if (c.helloEnd === undefined) {
		const off = rel(s.seq, c.isn + 1);
		c.firstAt ??= s.ms;
		c.pieces.push([off, Buffer.from(s.data)]);
		let bytes = Buffer.alloc(0);
		for (const [at, data] of [...c.pieces].sort((a, b) => a[0] - b[0]))
			if (at <= bytes.length)
				bytes = Buffer.concat([bytes.subarray(0, at), data]);
		const n = helloBytes(bytes);
		if (n) {
			c.helloEnd = (c.isn + 1 + n) >>> 0;
			c.hello = bytes.subarray(0, n);
			c.completeAt = s.ms;
			done.push(c);
		}
	} else if (rel(s.seq, c.helloEnd) >= 0 && rel(s.ack, c.ack0) > 0) {
		c.f2 = s.ms;
		c.flight = rel(s.ack, c.ack0);
		const covered = c.plAt !== undefined && c.ackPl === s.ack && c.flight > c.mss;
		const rtt = c.ackAt === undefined ? null : c.ackAt - c.syn;
		c.dstar = covered ? s.ms - c.plAt :
			rtt === null ? null : s.ms - c.completeAt - rtt - S0_MS;
	}
}

for (const p of packets(file)) {
	const s = p.frame.length > 54 ? segment(p) : p.frame.length >= 54 ? segment(p) : null;
	if (!s || s.dport !== +port)
		continue;
	const key = `${s.src} ${s.sport}`;
	if ((s.flags & 2) && open.get(key)?.helloEnd)
		open.delete(key);
	if (!open.has(key))
		open.set(key, { src: s.src, sport: s.sport, pieces: [] });
	step(open.get(key), s);
}

const ms = x => x === undefined || x === null ? null : Math.round(x * 1000) / 1000;
for (const c of done) {
	const stream = new PassThrough();
	stream.end(c.hello);
	const hello = await readTlsClientHello(stream).catch(() => null);
	console.log(JSON.stringify({ src: c.src, sport: c.sport, ja4: hello && calculateJa4(hello),
		ja3: hello && calculateJa3(hello), segments: c.pieces.length,
		rtt_ms: c.ackAt && ms(c.ackAt - c.syn), d1_ms: c.ackAt && ms(c.firstAt - c.ackAt),
		dstar_ms: ms(c.dstar) }));
}
