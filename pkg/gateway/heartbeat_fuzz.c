/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever comes in at the port. The input is what arrives, packet after packet: as it is, which
 * the tag refuses, and under a tag of the right key, as from a peer that went mad. What is taken
 * in stays within bounds, and what is read is written as it was.
 */
#include "gateway/heartbeat.c"

#include <stdlib.h>

#include "gateway/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct heartbeat_key key = {{1}, 32}, other = {{2}, 32};
static const struct member_conf list[] = {{"a", 100, 500, 3}, {"b", 100, 500, 3}};

static void check(struct members *m, const uint8_t *data, size_t size, int64_t now)
{
	uint8_t again[HEARTBEAT_LEN];
	struct heartbeat h;
	struct wire w;

	if (heartbeat_parse(data, size, &other, &h) == 0)
		abort(); /* a tag was guessed */
	if (size < sizeof(w))
		return;
	memcpy(&w, data, sizeof(w));
	w.magic = htonl(MAGIC);
	w.version = HEARTBEAT_VERSION;
	w.unused = w.reserved = 0;
	w.to = htobe64(heartbeat_name("a"));
	w.from = htobe64(heartbeat_name("b"));
	tag_make(&w, &key, w.tag);
	if (heartbeat_parse(&w, sizeof(w), &key, &h) < 0)
		return;
	heartbeat_emit(&h, &key, again);
	if (memcmp(again, &w, sizeof(w)) != 0)
		abort();
	members_receive(m, &h, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct members_self self = {0};
	struct members *m = members_new(1, &self, 0);
	struct heartbeat out;
	int64_t now = 0;
	size_t peer;

	members_configure(m, "a", list, 2, now);
	for (size_t at = 0; at < size; at += HEARTBEAT_LEN) {
		check(m, data + at, size - at < HEARTBEAT_LEN ? size - at : HEARTBEAT_LEN, now);
		now += data[at];
		members_tick(m, now);
		if (members_send(m, now, &peer, &out) && (peer != 0 || out.seq == 0))
			abort();
	}
	members_free(m);
	return 0;
}
