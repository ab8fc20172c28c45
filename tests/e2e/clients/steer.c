/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * steer.c - gives a client program that cannot bind a source address of its own.
 *
 * Preloaded. A connect() to 250.B.C.D goes to $EDGE4 from 10.B.C.D; one to 100::X:Y
 * goes to $EDGE6 from 2001:db8:X:Y::1. Everything else is left alone: the program's
 * TLS and HTTP are its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

typedef int (*connect_fn)(int, const struct sockaddr *, socklen_t);

static void bind_to(int fd, const void *addr, socklen_t len)
{
	int on = 1;

	/* Without it a port is reserved for all destinations: they run out. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	bind(fd, addr, len);
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	connect_fn real = (connect_fn)dlsym(RTLD_NEXT, "connect");
	const char *edge4 = getenv("EDGE4"), *edge6 = getenv("EDGE6");

	if (to->sa_family == AF_INET && len >= sizeof(struct sockaddr_in) && edge4) {
		struct sockaddr_in dst, src = { .sin_family = AF_INET };
		unsigned int code;

		memcpy(&dst, to, sizeof(dst));
		code = ntohl(dst.sin_addr.s_addr);
		if (code >> 24 == 250) {
			src.sin_addr.s_addr = htonl(10U << 24 | (code & 0xffffff));
			bind_to(fd, &src, sizeof(src));
			inet_pton(AF_INET, edge4, &dst.sin_addr);
			return real(fd, (struct sockaddr *)&dst, sizeof(dst));
		}
	}
	if (to->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6) && edge6) {
		static const unsigned char code[12] = { 0x01, 0x00 };
		static const unsigned char prefix[4] = { 0x20, 0x01, 0x0d, 0xb8 };
		struct sockaddr_in6 dst, src = { .sin6_family = AF_INET6 };

		memcpy(&dst, to, sizeof(dst));
		if (!memcmp(&dst.sin6_addr, code, sizeof(code))) {
			memcpy(&src.sin6_addr.s6_addr[0], prefix, 4);
			memcpy(&src.sin6_addr.s6_addr[4], &dst.sin6_addr.s6_addr[12], 4);
			src.sin6_addr.s6_addr[15] = 1;
			bind_to(fd, &src, sizeof(src));
			inet_pton(AF_INET6, edge6, &dst.sin6_addr);
			return real(fd, (struct sockaddr *)&dst, sizeof(dst));
		}
	}
	return real(fd, to, len);
}
