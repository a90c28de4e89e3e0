/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What owners tell of their connections, under the right key, as from gateways that went mad: three
 * of them, in any order with channels that end, time that passes and addresses that are taken. What
 * is kept stays within bounds, and each connection is of an address that is kept; what is taken was
 * told, is of that address, and is forgotten.
 */
#include "gateway/kept.c"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OWNERS 3
#define MOST   64 /* connections */

struct channel {
	size_t answers;
};

static struct channel owners[OWNERS];

int channel_send(struct channel *c, uint8_t type, const void *payload, size_t n)
{
	if (type != FRAME_PING || n % sizeof(struct addr))
		abort();
	c->answers++;
	return 0;
}

static struct addr pool(uint8_t which)
{
	return which & 4 ? addr_from_v4((uint8_t[4]){203, 0, 113, which & 3})
			 : (struct addr){{0x20, 1, 0xd, 0xb8, [15] = which & 3}};
}

/* One that can be, of the pool; what else the bytes say is a number of its own. */
static void flow_put(const uint8_t *from, uint8_t to[MOVE_FLOW_SIZE])
{
	bool v4 = from[0] & 4;
	struct addr peer = v4 ? addr_from_v4((uint8_t[4]){198, 51, 100, from[1]})
			      : (struct addr){{0x20, 1, 0xd, 0xb8, 1, [15] = from[1]}};
	const struct move_flow f = {
		.src = peer,
		.dst = peer,
		.seen = pool(from[0]),
		.node = peer,
		.sport = from[2],
		.dport = from[3],
		.seen_port = (uint16_t)(1 + from[2]),
		.proto = from[3] & 1 ? 6 : 17,
		.timeout = 1u + from[1],
	};

	move_flow_put(&f, to);
}

static void check(const struct kept *k)
{
	const struct flow_entry *e;
	size_t n = 0;

	if (k->n > MOVE_ADDRS_MAX || k->flows.n > MOST)
		abort();
	for (size_t i = 1; i < k->n; i++)
		if (addr_cmp(k->addrs[i - 1].addr, k->addrs[i].addr) >= 0)
			abort();
	TAILQ_FOREACH(e, &k->flows.all, of_all)
	{
		if (!find(k, e->flow.seen))
			abort();
		n++;
	}
	if (n != k->flows.n)
		abort();
}

static void take_one(struct kept *k, struct addr a)
{
	struct move_flow *list = NULL;
	size_t n = kept_take(k, a, &list);

	for (size_t i = 0; i < n; i++)
		if (!addr_eq(list[i].seen, a))
			abort();
	free(list);
	if (find(k, a) || kept_take(k, a, &list))
		abort();
}

/* As many bytes of a frame as there are, either as they come or as something that can be. */
static void say(struct kept *k, struct channel *c, uint8_t how, const uint8_t *p, size_t n)
{
	uint8_t type = (uint8_t)(FRAME_OF + (how >> 3) % 6), buf[16 * MOVE_FLOW_SIZE];
	size_t len = 0;

	if (how & 0x80) {
		kept_frame(k, c, type, p, n);
		return;
	}
	if (type == FRAME_KEEP || type == FRAME_GONE) {
		for (; len < sizeof(buf) && n >= 4; len += MOVE_FLOW_SIZE, p += 4, n -= 4)
			flow_put(p, buf + len);
	} else {
		for (; len < 8 * sizeof(struct addr) && n; len += sizeof(struct addr), n--) {
			struct addr a = pool(*p++);

			memcpy(buf + len, a.b, sizeof(a.b));
		}
	}
	kept_frame(k, c, type, buf, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t now = 0;
	struct kept k;

	kept_init(&k, MOST);
	while (size >= 2) {
		uint8_t how = data[0];
		size_t n = data[1] < size - 2 ? data[1] : size - 2;
		const uint8_t *p = data + 2;

		data += 2 + n;
		size -= 2 + n;
		if (how % 8 < 5)
			say(&k, &owners[how % OWNERS], how, p, n);
		else if (how % 8 == 5)
			kept_closed(&k, &owners[n % OWNERS], now + 10);
		else if (how % 8 == 6)
			kept_expire(&k, now += (int64_t)n);
		else
			take_one(&k, pool((uint8_t)n));
		check(&k);
	}
	kept_done(&k);
	return 0;
}
