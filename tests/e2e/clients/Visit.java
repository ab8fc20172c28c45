// SPDX-License-Identifier: BSD-2-Clause

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Visits by Java's TLS (JSSE), HTTP/1.1. Schedule, results and environment as in visit.mjs. */
public final class Visit {
	private static final String NAME = System.getenv("NAME");
	private static final int PORT = Integer.parseInt(System.getenv("PORT"));
	private static final int TIMEOUT_MS = 20000;
	private static final int AT_ONCE = 64;
	private static final byte[] BODY = ("{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \""
			+ "word ".repeat(60) + "\"}]}").getBytes(StandardCharsets.UTF_8);
	private static final Pattern VIA = Pattern.compile("(connect|socks|tcp):\\[?(.*?)\\]?:(\\d+)");

	private final SSLContext tls;

	private Visit() throws Exception {
		KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
		trusted.load(null);
		try (InputStream in = new FileInputStream(System.getenv("CA"))) {
			trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		trust.init(trusted);
		tls = SSLContext.getInstance("TLS");
		tls.init(null, trust.getTrustManagers(), null);
	}

	private static String readLine(InputStream in) throws IOException {
		StringBuilder line = new StringBuilder();
		int c;
		while ((c = in.read()) != '\n') {
			if (c < 0)
				throw new IOException("closed");
			line.append((char) c);
		}
		return line.toString().trim();
	}

	private static void proxy(Socket s, String how, boolean six, String edge) throws IOException {
		InputStream in = s.getInputStream();	// unbuffered: what follows is TLS's
		OutputStream out = s.getOutputStream();
		if (how.equals("connect")) {
			String host = six ? "[" + edge + "]" : edge;
			out.write(("CONNECT " + host + ":" + PORT + " HTTP/1.1\r\nHost: " + NAME + "\r\n\r\n").getBytes());
			String status = readLine(in);
			if (!status.matches("HTTP/1.. 200.*"))
				throw new IOException("proxy: " + status);
			while (!readLine(in).isEmpty())
				;
		} else if (how.equals("socks")) {
			byte[] name = ((six ? "v6." : "v4.") + NAME).getBytes();
			out.write(new byte[] { 5, 1, 0 });
			in.readNBytes(2);
			byte[] ask = new byte[7 + name.length];
			ask[0] = 5;
			ask[1] = 1;
			ask[3] = 3;
			ask[4] = (byte) name.length;
			System.arraycopy(name, 0, ask, 5, name.length);
			ask[5 + name.length] = (byte) (PORT >> 8);
			ask[6 + name.length] = (byte) PORT;
			out.write(ask);
			byte[] reply = in.readNBytes(4);
			if (reply.length < 4 || reply[1] != 0)
				throw new IOException("proxy: SOCKS error");
			in.readNBytes(reply[3] == 1 ? 6 : 18);
		}
	}

	private static void request(SSLSocket s, InputStream in, String kind) throws IOException {
		boolean post = kind.startsWith("post");
		String path = post ? kind.length() > 5 ? kind.substring(5) : "echo" : kind;
		String head = (post ? "POST /" : "GET /") + path + " HTTP/1.1\r\nHost: " + NAME + "\r\nAccept: */*\r\n"
				+ (post ? "Content-Type: application/json\r\nContent-Length: " + BODY.length + "\r\n" : "") + "\r\n";
		byte[] bytes = new byte[head.length() + (post ? BODY.length : 0)];
		System.arraycopy(head.getBytes(), 0, bytes, 0, head.length());
		if (post)
			System.arraycopy(BODY, 0, bytes, head.length(), BODY.length);
		s.getOutputStream().write(bytes);

		String status = readLine(in);
		int length = -1;
		for (String line = readLine(in); !line.isEmpty(); line = readLine(in)) {
			if (line.toLowerCase().startsWith("content-length:"))
				length = Integer.parseInt(line.substring(15).trim());
		}
		if (length >= 0) {
			in.skipNBytes(length);
		} else {
			int size;
			do {
				size = Integer.parseInt(readLine(in), 16);
				in.skipNBytes(size + 2);
			} while (size > 0);
		}
		if (!status.contains(" 200"))
			throw new IOException("status " + status);
	}

	private void visit(String line) {
		String[] f = line.trim().split("\\s+");
		String src = f[1], kind = f[5];
		int n = Integer.parseInt(f[3]), gap = Integer.parseInt(f[4]), ok = 0, port = 0;
		Matcher via = VIA.matcher(f[2]);
		boolean proxied = via.matches();
		boolean six = (proxied ? via.group(2) : src).contains(":");
		String edge = System.getenv(six ? "EDGE6" : "EDGE4"), why = null;

		try (Socket tcp = new Socket()) {
			if (!src.equals("-"))
				tcp.bind(new InetSocketAddress(InetAddress.getByName(src), 0));
			tcp.setTcpNoDelay(true);
			tcp.setSoTimeout(TIMEOUT_MS);
			tcp.connect(proxied ? new InetSocketAddress(InetAddress.getByName(via.group(2)),
					Integer.parseInt(via.group(3))) : new InetSocketAddress(InetAddress.getByName(edge), PORT),
					TIMEOUT_MS);
			port = tcp.getLocalPort();
			if (proxied)
				proxy(tcp, via.group(1), six, edge);
			try (SSLSocket s = (SSLSocket) tls.getSocketFactory().createSocket(tcp, NAME, PORT, true)) {
				InputStream in = new BufferedInputStream(s.getInputStream());
				for (; ok < n; ok++) {
					if (ok > 0)
						Thread.sleep(gap);
					request(s, in, kind);
				}
			}
		} catch (Exception e) {
			why = e.toString().replaceAll("[^ -~]|[\"\\\\]", " ");
		}
		System.out.println("{\"at\":" + f[0] + ",\"stack\":\"java\",\"src\":\"" + src + "\",\"via\":\"" + f[2]
				+ "\",\"tag\":" + (f.length > 6 ? "\"" + f[6] + "\"" : "null") + ",\"port\":" + port + ",\"ok\":" + ok
				+ ",\"failed\":" + (n - ok) + (why == null ? "" : ",\"why\":\"" + why + "\"") + "}");
	}

	public static void main(String[] args) throws Exception {
		Visit all = new Visit();
		ScheduledExecutorService pool = Executors.newScheduledThreadPool(AT_ONCE);
		long started = System.nanoTime();
		BufferedReader schedule = new BufferedReader(new InputStreamReader(System.in));
		for (String line; (line = schedule.readLine()) != null;) {
			String visit = line;
			if (visit.isBlank() || visit.startsWith("#"))
				continue;
			long at = Long.parseLong(visit.trim().split("\\s+")[0]);
			pool.schedule(() -> all.visit(visit), at * 1000000 - (System.nanoTime() - started), TimeUnit.NANOSECONDS);
		}
		pool.shutdown();
		pool.awaitTermination(1, TimeUnit.HOURS);
	}
}
