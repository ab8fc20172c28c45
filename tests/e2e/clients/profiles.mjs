#!/usr/bin/env node
// SPDX-License-Identifier: BSD-2-Clause
//
// profiles.mjs - the ClientHellos of browser profiles, as they are on the wire.
//
// 	profiles.mjs wreq-js|cycletls N [PROFILE...]
//
// Each profile (all of them by default) makes N connections to a TLS server of this
// process on loopback: ten at a time by one client, which may resume what it remembers,
// then a fresh client. One line a hello: "PROFILE HEX", HEX the handshake message
// without its record headers. Environment: NODE_PATH; CERT, KEY (PEM files).
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_PATH}/`);
const [library, count, ...only] = process.argv.slice(2);
const ROUND = 10;

// What cycletls is given to look like: of its manual, and of browsers of the day.
const DESCRIBED = {
	firefox_87: { ja3: '771,4865-4867-4866-49195-49199-52393-52392-49196-49200-49162-49161-49171-49172-51-57-47-53-10,0-23-65281-10-11-35-16-5-51-43-13-45-28-21,29-23-24-25-256-257,0',
		userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:87.0) Gecko/20100101 Firefox/87.0' },
	chrome_104: { ja3: '771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,0-23-65281-10-11-35-16-5-13-18-51-45-43-27-17513,29-23-24,0',
		userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/104.0.0.0 Safari/537.36' },
	chrome_tls12: { ja3: '771,49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,0-23-65281-10-11-35-16-5-13,29-23-24,0',
		userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/69.0.0.0 Safari/537.36' },
	safari_16: { ja3: '771,4865-4866-4867-49196-49195-52393-49200-49199-52392-49162-49161-49172-49171-157-156-53-47-49160-49170-10,0-23-65281-10-11-16-5-13-18-51-45-43-27-21,29-23-24-25,0',
		userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.1 Safari/605.1.15' },
	chrome_ja4r: { ja4r: 't13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_0000,0005,000a,000b,000d,0012,0017,001b,0023,002b,002d,0033,44cd,fe0d,ff01_0403,0804,0401,0503,0805,0501,0806,0601',
		userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36' },
};

// profiles: names; round(profile, n, url): n connections of one client that is then gone.
const libraries = {
	'wreq-js': () => {
		const wreq = require('wreq-js');

		return { profiles: wreq.getProfiles(), round: async (browser, n, url) => {
			const transport = await wreq.createTransport({ browser, insecure: true });

			for (let i = 0; i < n; i++)
				await wreq.fetch(url, { transport, timeout: 5000 });
			await transport.close();
		} };
	},
	cycletls: async () => {
		const fetch = await require('cycletls')({ port: 9119, timeout: 20000 });

		return { profiles: Object.keys(DESCRIBED), end: () => fetch.exit(), round: async (name, n, url) => {
			for (let i = 0; i < n; i++) {
				const { status } = await fetch(url, { ...DESCRIBED[name], insecureSkipVerify: true, timeout: 5 }, 'get');

				if (status !== 204)
					throw new Error(`status ${status}`);
			}
		} };
	},
};

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
const { profiles, round, end } = await libraries[library]();
for (profile of only.length ? only : profiles)
	for (let left = +count; left > 0; left -= ROUND)
		await round(profile, Math.min(left, ROUND), `https://localhost:${tap.address().port}/`)
			.catch(e => { console.error(`${profile}: ${e.message}`); process.exitCode = 1; });
await end?.();
process.exit();
