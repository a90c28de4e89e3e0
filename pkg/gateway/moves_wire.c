/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/moves_wire.h"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

#define ANSWERED    1u
#define ASSURED	    2u
#define TIMEOUT_MAX (30u * 86400) /* seconds; Linux gives an idle TCP connection 5 days */

static void put_be(uint8_t *to, uint32_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		to[i] = (uint8_t)v;
}

static uint32_t get_be(const uint8_t *from, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | from[i];
	return v;
}

void move_flow_put(const struct move_flow *f, uint8_t to[MOVE_FLOW_SIZE])
{
	memcpy(to, f->src.b, 16);
	memcpy(to + 16, f->dst.b, 16);
	memcpy(to + 32, f->seen.b, 16);
	memcpy(to + 48, f->node.b, 16);
	put_be(to + 64, f->sport, 2);
	put_be(to + 66, f->dport, 2);
	put_be(to + 68, f->seen_port, 2);
	to[70] = f->proto;
	to[71] = f->tcp_state;
	to[72] = f->tcp_wscale[0];
	to[73] = f->tcp_wscale[1];
	to[74] = (uint8_t)((f->answered ? ANSWERED : 0) | (f->assured ? ASSURED : 0));
	to[75] = 0;
	put_be(to + 76, f->timeout, 4);
}

static bool possible(const struct move_flow *f)
{
	bool v4 = addr_is_v4(f->src);

	if (addr_is_v4(f->dst) != v4 || addr_is_v4(f->seen) != v4)
		return false;
	if (addr_is_unspecified(f->src) || addr_is_unspecified(f->dst) || !f->seen_port)
		return false;
	if (f->proto != IPPROTO_TCP && f->proto != IPPROTO_UDP && f->proto != IPPROTO_SCTP)
		return false;
	return f->timeout && f->timeout <= TIMEOUT_MAX && f->tcp_state < TCP_CONNTRACK_MAX;
}

bool move_flow_get(const uint8_t from[MOVE_FLOW_SIZE], struct move_flow *ret)
{
	*ret = (struct move_flow){
		.sport = (uint16_t)get_be(from + 64, 2),
		.dport = (uint16_t)get_be(from + 66, 2),
		.seen_port = (uint16_t)get_be(from + 68, 2),
		.proto = from[70],
		.tcp_state = from[71],
		.tcp_wscale = {from[72], from[73]},
		.answered = from[74] & ANSWERED,
		.assured = from[74] & ASSURED,
		.timeout = get_be(from + 76, 4),
	};
	memcpy(ret->src.b, from, 16);
	memcpy(ret->dst.b, from + 16, 16);
	memcpy(ret->seen.b, from + 32, 16);
	memcpy(ret->node.b, from + 48, 16);
	return possible(ret);
}

int move_frames_send(struct channel *c, uint8_t type, const struct move_flow *flows, size_t n)
{
	__cleanup_free uint8_t *buf = mem_alloc0(MOVE_FLOWS_PER_FRAME * MOVE_FLOW_SIZE);
	int r = 0;

	for (size_t at = 0; r == 0 && at < n;) {
		size_t k = 0;

		for (; k < MOVE_FLOWS_PER_FRAME && at < n; k++, at++)
			move_flow_put(&flows[at], buf + k * MOVE_FLOW_SIZE);
		r = channel_send(c, type, buf, k * MOVE_FLOW_SIZE);
	}
	return r;
}

int move_flows_send(struct channel *c, const struct move_flow *flows, size_t n)
{
	return move_frames_send(c, FRAME_FLOWS, flows, n);
}

int move_addrs_send(struct channel *c, uint8_t type, const struct addr *addrs, size_t n)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < n; at += MOVE_ADDRS_PER_FRAME) {
		size_t k = n - at < MOVE_ADDRS_PER_FRAME ? n - at : MOVE_ADDRS_PER_FRAME;

		r = channel_send(c, type, addrs + at, k * sizeof(*addrs));
	}
	return r;
}

int move_tell(const struct moves_ops *ops, void *data, struct channel *c,
	      const struct move_words *say)
{
	__cleanup_free struct move_flow *flows = NULL;
	size_t n = 0;
	int r = ops->list(data, say->addrs, say->n, &flows, &n);

	if (r == 0)
		r = move_flows_send(c, flows, n);
	if (r == 0)
		r = move_addrs_send(c, say->word, say->addrs, say->n);
	log_info("connections told", "addresses=%zu connections=%zu last=%d", say->n, n,
		 say->word == FRAME_DONE);
	return r;
}
