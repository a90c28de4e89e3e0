/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/cleanup.h"
#include "bpf/door.h"

#define SOURCE_PORT  40000
#define SCTP_COMMON  12
#define PACKET_BYTES 128
#define ICMP_HEADER  8

static size_t put(uint8_t *at, const void *header, size_t len)
{
	memcpy(at, header, len);
	return len;
}

/* A TCP packet is a SYN: the one that is judged as a new connection. */
static size_t put_transport(uint8_t *at, uint8_t proto, uint16_t port)
{
	struct tcphdr tcp = {.th_sport = htons(SOURCE_PORT),
			     .th_dport = htons(port),
			     .th_off = sizeof(tcp) / 4,
			     .th_flags = TH_SYN};
	struct udphdr udp = {.uh_sport = htons(SOURCE_PORT),
			     .uh_dport = htons(port),
			     .uh_ulen = htons(sizeof(udp))};
	uint8_t other[SCTP_COMMON] = {SOURCE_PORT >> 8, SOURCE_PORT & 0xff, (uint8_t)(port >> 8),
				      (uint8_t)port};
	switch (proto) {
	case IPPROTO_TCP:
		return put(at, &tcp, sizeof(tcp));
	case IPPROTO_UDP:
		return put(at, &udp, sizeof(udp));
	}
	return put(at, other, sizeof(other));
}

static size_t put_v4(uint8_t *at, struct addr src, struct addr dst, uint8_t proto, size_t payload)
{
	struct ip ip = {.ip_hl = 5,
			.ip_v = 4,
			.ip_len = htons((uint16_t)(sizeof(ip) + payload)),
			.ip_ttl = 64,
			.ip_p = proto};

	memcpy(&ip.ip_src, src.b + 12, 4);
	memcpy(&ip.ip_dst, dst.b + 12, 4);
	return put(at, &ip, sizeof(ip));
}

static size_t put_v6(uint8_t *at, struct addr src, struct addr dst, uint8_t proto, size_t payload)
{
	struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28),
			     .ip6_plen = htons((uint16_t)payload),
			     .ip6_nxt = proto,
			     .ip6_hlim = 64};

	memcpy(&ip.ip6_src, src.b, 16);
	memcpy(&ip.ip6_dst, dst.b, 16);
	return put(at, &ip, sizeof(ip));
}

/* Errors are about a packet that came to the pod; in IPv4 others may have one, too. */
static size_t put_icmp(uint8_t *at, const struct probe *q)
{
	const uint8_t icmp[ICMP_HEADER] = {(uint8_t)(q->l4_key >> 8), (uint8_t)q->l4_key};
	size_t n = put(at, icmp, sizeof(icmp));

	if (addr_is_v4(q->dst))
		return n + put_v4(at + n, q->dst, q->src, IPPROTO_UDP, 0);
	return icmp[0] < ICMP6_ECHO_REQUEST ? n + put_v6(at + n, q->dst, q->src, IPPROTO_UDP, 0)
					    : n;
}

static size_t frame_make(const struct probe *q, uint8_t buf[PACKET_BYTES])
{
	bool v4 = addr_is_v4(q->dst);
	struct ethhdr eth = {.h_dest = {2, 0, 0, 0, 0, 1},
			     .h_proto = htons(v4 ? ETH_P_IP : ETH_P_IPV6)};
	uint8_t l4[64], proto = (uint8_t)(q->l4_key >> 16);
	size_t payload, n;

	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		payload = put_icmp(l4, q);
	else
		payload = put_transport(l4, proto, (uint16_t)q->l4_key);
	memcpy(eth.h_source, q->mac, sizeof(eth.h_source));
	n = put(buf, &eth, sizeof(eth));
	n += v4 ? put_v4(buf + n, q->src, q->dst, proto, payload)
		: put_v6(buf + n, q->src, q->dst, proto, payload);
	return n + put(buf + n, l4, payload);
}

static int answer_read(struct bpf_pins *p, const struct __sk_buff *skb, int verdict,
		       struct probe_answer *ret, struct err *e)
{
	uint32_t zero = 0, id;
	struct slu_config config;
	struct slu_egress egress;
	int rc = bpf_map_lookup(p, BPF_MAP_CONFIG, &zero, &config, e);

	if (rc < 0)
		return rc;
	*ret = (struct probe_answer){};
	if (verdict == TC_ACT_SHOT) {
		ret->reason = SLU_REASON_MAX;
		return 0;
	}
	id = (skb->mark & config.mark_mask & ~config.divert) >> (config.mark_shift & 31);
	ret->untouched = id == 0;
	if (id < SLU_MARK_REASONS)
		ret->reason = id;
	if (id < SLU_ID_FIRST)
		return 0;
	ret->id = id;
	rc = bpf_map_lookup(p, BPF_MAP_ADDRS, &id, &egress, e);
	if (rc == 0)
		ret->addr = slu_addr_get(egress.addr);
	return rc;
}

int bpf_probe(struct bpf_pins *p, const struct probe *probe, struct probe_answer *ret,
	      struct err *e)
{
	uint8_t in[PACKET_BYTES], out[2 * PACKET_BYTES];
	struct __sk_buff skb = {.ifindex = probe->ifindex, .priority = SLU_PRIORITY_PROBE};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &skb, .ctx_size_in = sizeof(skb),
		    .ctx_out = &skb, .ctx_size_out = sizeof(skb));
	int fd, rc = bpf_prog_fd(p, BPF_PROG_FROM_POD, &fd, e);

	if (rc < 0)
		return rc;
	opts.data_size_in = (uint32_t)frame_make(probe, in);
	rc = bpf_prog_test_run_opts(fd, &opts);
	if (rc < 0)
		return err_sys(e, rc, "BPF_PROG_TEST_RUN of slu_from_pod on interface %u",
			       probe->ifindex);
	return answer_read(p, &skb, (int)opts.retval, ret, e);
}
