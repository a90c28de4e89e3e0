/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/heartbeat.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "gateway/mac.h"

#define MAGIC 0x534c4842u /* SLHB */

struct wire {
	uint32_t magic;
	uint8_t version, state, flags, n_macs;
	uint64_t from, to, incarnation, seq, echo_incarnation, echo_seq, time_ms, unused, config;
	uint32_t interval_ms, reserved;
	uint8_t macs[HEARTBEAT_MACS][6];
	uint8_t tag[MAC_SIZE];
} __attribute__((packed));

_Static_assert(sizeof(struct wire) == HEARTBEAT_LEN, "the length is part of the format");

uint64_t heartbeat_name(const char *node)
{
	return hash_str(node, 2);
}

static void tag_make(const struct wire *w, const struct heartbeat_key *key, uint8_t ret[MAC_SIZE])
{
	const struct iovec head = {(void *)(uintptr_t)w, offsetof(struct wire, tag)};

	mac_make(key->bytes, key->len, &head, 1, ret);
}

void heartbeat_emit(const struct heartbeat *h, const struct heartbeat_key *key,
		    uint8_t ret[HEARTBEAT_LEN])
{
	struct wire w = {
		.magic = htonl(MAGIC),
		.version = HEARTBEAT_VERSION,
		.state = h->state,
		.flags = h->flags,
		.n_macs = h->n_macs,
		.from = htobe64(h->from),
		.to = htobe64(h->to),
		.incarnation = htobe64(h->incarnation),
		.seq = htobe64(h->seq),
		.echo_incarnation = htobe64(h->echo_incarnation),
		.echo_seq = htobe64(h->echo_seq),
		.time_ms = htobe64(h->time_ms),
		.config = htobe64(h->config),
		.interval_ms = htonl(h->interval_ms),
	};

	memcpy(w.macs, h->macs, sizeof(w.macs));
	tag_make(&w, key, w.tag);
	memcpy(ret, &w, sizeof(w));
}

/* The tag comes before any field is looked at but those that say what this is. */
int heartbeat_parse(const void *buf, size_t len, const struct heartbeat_key *key,
		    struct heartbeat *ret)
{
	uint8_t tag[MAC_SIZE];
	struct wire w;

	if (len != sizeof(w))
		return -EBADMSG;
	memcpy(&w, buf, sizeof(w));
	if (w.magic != htonl(MAGIC) || w.version != HEARTBEAT_VERSION)
		return -EBADMSG;
	tag_make(&w, key, tag);
	if (!mac_equal(tag, w.tag))
		return -EKEYREJECTED;
	if (w.state < HEARTBEAT_JOINING || w.state > HEARTBEAT_DRAINED || w.n_macs > HEARTBEAT_MACS)
		return -EBADMSG;
	*ret = (struct heartbeat){
		.state = w.state,
		.flags = w.flags,
		.n_macs = w.n_macs,
		.from = be64toh(w.from),
		.to = be64toh(w.to),
		.incarnation = be64toh(w.incarnation),
		.seq = be64toh(w.seq),
		.echo_incarnation = be64toh(w.echo_incarnation),
		.echo_seq = be64toh(w.echo_seq),
		.time_ms = be64toh(w.time_ms),
		.config = be64toh(w.config),
		.interval_ms = ntohl(w.interval_ms),
	};
	memcpy(ret->macs, w.macs, sizeof(ret->macs));
	return 0;
}
