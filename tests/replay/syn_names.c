/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syn_names - the TCP signature of each SYN in a capture, for oracle-syns.py.
 *
 * In:  a capture file, raw IP or Ethernet link type.
 * Out: a line each: source port, signature, then the case as test_tls_tcpsig
 *      reads it: family, TTL, option length, flags, payload, TCP header in hex.
 */
#include <stdio.h>
#include <string.h>

#include <pcap/pcap.h>

#include "tls/tcpsig.h"

static int syn_read(const uint8_t *ip, size_t len, struct syn_raw *s)
{
	size_t head, total, tcp_len;

	*s = (struct syn_raw){ .present = 1, .family = ip[0] >> 4 };
	if (len < 20)
		return -1;
	if (s->family == 4) {
		head = (ip[0] & 15) * 4;
		total = ip[2] << 8 | ip[3];
		s->ttl = ip[8];
		s->ip_olen = head - 20;
		s->ip_flags = (ip[6] & 0x40 ? SYN_DF : 0) | (ip[6] & 0x80 ? SYN_MBZ : 0) |
			      (ip[4] | ip[5] ? 0 : SYN_ID_ZERO) | (ip[1] & 3 ? SYN_ECN : 0);
		if (ip[9] != 6)
			return -1;
	} else {
		head = 40;
		total = 40 + (ip[4] << 8 | ip[5]);
		s->ttl = ip[7];
		s->ip_flags = (ip[1] & 0x30 ? SYN_ECN : 0) |
			      ((ip[1] & 15) | ip[2] | ip[3] ? SYN_FLOW_LABEL : 0);
		if (ip[6] != 6)
			return -1;
	}
	if (total > len || head + 20 > total)
		return -1;
	tcp_len = (ip[head + 12] >> 4) * 4;
	if (tcp_len < 20 || head + tcp_len > total)
		return -1;
	s->tcp_len = tcp_len;
	s->payload = total - head - tcp_len;
	memcpy(s->tcp, ip + head, tcp_len);
	return (s->tcp[13] & 0x17) == 2 ? 0 : -1;
}

int main(int argc, char **argv)
{
	char err[PCAP_ERRBUF_SIZE], text[TCPSIG_TEXT];
	struct pcap_pkthdr *h;
	const uint8_t *p;
	pcap_t *pcap;
	size_t link;

	pcap = argc == 2 ? pcap_open_offline(argv[1], err) : NULL;
	if (!pcap)
		return 1;
	link = pcap_datalink(pcap) == DLT_EN10MB ? 14 : 0;
	while (pcap_next_ex(pcap, &h, &p) == 1) {
		struct syn_raw s;

		if (h->caplen < link || syn_read(p + link, h->caplen - link, &s) ||
		    tcpsig_text(&s, text))
			continue;
		printf("%u\t%s\t%u %u %u %u %u ", s.tcp[0] << 8 | s.tcp[1], text, s.family, s.ttl,
		       s.ip_olen, s.ip_flags, s.payload);
		for (int i = 0; i < s.tcp_len; i++)
			printf("%02x", s.tcp[i]);
		putchar('\n');
	}
	pcap_close(pcap);
	return 0;
}
