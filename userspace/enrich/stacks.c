/* SPDX-License-Identifier: BSD-2-Clause */
#include "enrich/stacks.h"

#include <string.h>

/* The third column names the recordings: tests/data/hellos/NAME.bin, each with the
 * program's version in the README there. A test computes every row again. */
/* clang-format off */
const struct known_stack known_stacks[] = {
	{ "t13d3111h2_e8f1e7e78f70_375ca2c5e164",
	  "curl 7.88.1 (OpenSSL 3.0.22)",
	  "curl-h2" },
	{ "t13i3110h2_e8f1e7e78f70_375ca2c5e164",
	  "curl 7.88.1 (OpenSSL 3.0.22), by address",
	  "curl-ip" },
	{ "t13d3111h1_e8f1e7e78f70_375ca2c5e164",
	  "curl 7.88.1 (OpenSSL 3.0.22)",
	  "curl" },
	{ "t12d250900_7415a186c913_e6ce4e5f5537",
	  "gnutls-cli 3.7.9, TLS 1.2",
	  "gnutls-tls12" },
	{ "t13d291200_723694b0fccc_a03b17b91aa0",
	  "gnutls-cli 3.7.9",
	  "gnutls" },
	{ "t13i371000_db35923f8641_f2a308c7e1ab",
	  "OpenJDK 17.0.15",
	  "java" },
	{ "t13d590900_a33745022dd6_c9e58cc61e36",
	  "Node.js 20.20.2",
	  "node" },
	{ "t13d3110h2_e8f1e7e78f70_c9e58cc61e36",
	  "openssl s_client 3.0.22, with ALPN",
	  "openssl-alpn" },
	{ "t13i310800_e8f1e7e78f70_c9e58cc61e36",
	  "openssl s_client 3.0.22, without SNI",
	  "openssl-nosni" },
	{ "t10i230400_44099cda8a52_d4d584b446d3",
	  "openssl s_client 3.0.22, TLS 1.0",
	  "openssl-tls10" },
	{ "t12d280600_d943125447b4_a44c6288192a",
	  "openssl s_client 3.0.22, TLS 1.2",
	  "openssl-tls12" },
	{ "t13d310900_e8f1e7e78f70_c9e58cc61e36",
	  "openssl s_client 3.0.22",
	  "openssl-tls13" },
	{ "t13d180900_85036bcba153_c9e58cc61e36",
	  "Python 3.11 ssl (OpenSSL 3.0.22)",
	  "python" },
	{ "t13d291100_723694b0fccc_c3d874a01b3d",
	  "GNU Wget 1.21.3 (GnuTLS 3.7.9)",
	  "wget" },
	{ "t13d1514h2_8daaf6152771_59204b37da4c",
	  "Chrome 100 (as wreq-js imitates it)",
	  "wreq-chrome_100" },
	{ "t13d1515h2_8daaf6152771_d32726be76dc",
	  "Chrome 120, 131; Opera 131 (as wreq-js imitates it)",
	  "wreq-chrome_120 wreq-chrome_131 wreq-opera_131" },
	{ "t13d1515h2_8daaf6152771_31ec0a762479",
	  "Chrome 142, 149; Edge 148 (as wreq-js imitates it)",
	  "wreq-chrome_142 wreq-chrome_149 wreq-edge_148" },
	{ "t13d1713h2_5b57614c22b0_abe81bfac2ff",
	  "Firefox 117 (as wreq-js imitates it)",
	  "wreq-firefox_117" },
	{ "t13d1513h2_8daaf6152771_748f4c70de1c",
	  "Firefox 128 (as wreq-js imitates it)",
	  "wreq-firefox_128" },
	{ "t13d1716h2_5b57614c22b0_42c24f99d423",
	  "Firefox 142, 151 (as wreq-js imitates it)",
	  "wreq-firefox_142 wreq-firefox_151" },
	{ "t13d1611h2_46e7e9700bed_86dd91ae2a36",
	  "OkHttp 3.14, 5 (as wreq-js imitates it)",
	  "wreq-okhttp_3.14 wreq-okhttp_5" },
	{ "t13d2013h2_a09f3c656075_874d27d7ca63",
	  "Safari 15.6.1, 17.6 (as wreq-js imitates it)",
	  "wreq-safari_15.6.1 wreq-safari_17.6" },
	{ "t13d2013h2_a09f3c656075_7f0f34a4126d",
	  "Safari 18.5, 26.4 (as wreq-js imitates it)",
	  "wreq-safari_18.5 wreq-safari_26.4" },
	{ NULL, NULL, NULL },
};
/* clang-format on */

const struct known_stack *stacks_known(const char *stack)
{
	for (const struct known_stack *k = known_stacks; stack && k->stack; k++)
		if (!strcmp(k->stack, stack))
			return k;
	return NULL;
}
