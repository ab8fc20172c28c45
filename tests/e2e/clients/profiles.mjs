#!/usr/bin/env node
// SPDX-License-Identifier: BSD-2-Clause
//
// profiles.mjs - the ClientHellos of wreq-js' browser profiles, as they are on the wire.
//
// 	profiles.mjs N [PROFILE...]
//
// Each profile (all of them by default) makes N connections to a TLS server of this
// process on loopback: ten at a time by one client, which may resume what it remembers,
// then a fresh client. One line a hello: "PROFILE HEX", HEX the handshake message
// without its record headers. Environment: NODE_PATH; CERT, KEY (PEM files).
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { createRequire } from 'node:module';

const wreq = createRequire(`${process.env.NODE_PATH}/`)('wreq-js');
const [count, ...only] = process.argv.slice(2);
const ROUND = 10;

const server = tls.createServer({ cert: fs.readFileSync(process.env.CERT),
	key: fs.readFileSync(process.env.KEY), ALPNProtocols: ['http/1.1'] }, socket => {
	socket.on('error', () => {});
	socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'));
});

// The handshake message at the start of a stream, once it is whole.
function message(bytes) {
	const parts = [];

	for (let at = 0; at + 5 <= bytes.length && bytes[at] === 22;) {
		const end = at + 5 + bytes.readUInt16BE(at + 3);

		if (end > bytes.length)
			break;
		parts.push(bytes.subarray(at + 5, end));
		at = end;
	}
	const all = Buffer.concat(parts);

	return all.length >= 4 && all.length >= 4 + all.readUIntBE(1, 3) ?
		all.subarray(0, 4 + all.readUIntBE(1, 3)) : null;
}

let profile;
const tap = net.createServer(client => {
	let bytes = Buffer.alloc(0), done = false;
	const on = net.connect(server.address().port, '127.0.0.1');

	client.on('data', data => {
		on.write(data);
		if (done)
			return;
		bytes = Buffer.concat([bytes, data]);
		const hello = message(bytes);
		if (hello) {
			done = true;
			console.log(`${profile} ${hello.toString('hex')}`);
		}
	});
	on.on('data', data => client.write(data));
	for (const [a, b] of [[client, on], [on, client]]) {
		a.on('error', () => b.destroy());
		a.on('close', () => b.destroy());
		a.on('end', () => b.end());
	}
});

const listening = s => new Promise(resolve => s.listen(0, '127.0.0.1', resolve));
await listening(server);
await listening(tap);
for (profile of only.length ? only : wreq.getProfiles()) {
	for (let left = +count; left > 0; left -= ROUND) {
		const transport = await wreq.createTransport({ browser: profile, insecure: true });

		for (let i = 0; i < Math.min(left, ROUND); i++)
			await wreq.fetch(`https://localhost:${tap.address().port}/`, { transport, timeout: 5000 })
				.catch(e => { console.error(`${profile}: ${e.message}`); process.exit(1); });
		await transport.close();
	}
}
process.exit(0);
