/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frame of the segment, read as an answer to a probe. What is said beside it is the
 * RFCs' list again, by offsets into the bytes: 1 = somebody has, or wants, the address.
 */
#include "gateway/announce_frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t own[MAC_LEN] = {2, 0, 0, 0, 0, 1};

/* RFC 5227 2.1.1 */
static bool arp_says(const uint8_t *b, size_t len, const uint8_t ip[4])
{
	if (len < 42 || b[16] != 8 || b[17] || b[18] != 6 || b[19] != 4)
		return false;
	if (memcmp(b + 28, ip, 4) == 0)
		return true;
	return b[20] == 0 && b[21] == 1 && memcmp(b + 28, "\0\0\0\0", 4) == 0 &&
	       memcmp(b + 38, ip, 4) == 0;
}

/* RFC 4861 7.1, RFC 4862 5.4.3; where the MAC is, in *ret_mac */
static bool nd_says(const uint8_t *b, size_t len, const uint8_t ip[16], size_t *ret_mac)
{
	static const uint8_t none[16];
	bool option = len >= 86 && b[78] == 2 && b[79] == 1;

	if (len < 78 || b[20] != 58 || b[21] != 255 || b[55] || memcmp(b + 62, ip, 16) != 0)
		return false;
	*ret_mac = b[54] == 136 && option ? 80 : 6;
	return b[54] == 136 || (b[54] == 135 && memcmp(b + 22, none, 16) == 0);
}

static void check(const uint8_t *b, size_t len, const char *text)
{
	union frame *f = mem_dup(b, len); /* exactly as long, so that a read behind it shows */
	uint8_t mac[MAC_LEN] = {0};
	size_t mac_at = 22;
	struct addr a;
	bool says, read;

	addr_parse(text, &a);
	if (addr_is_v4(a)) {
		says = arp_says(b, len, addr_bytes(&a));
		read = segment_frame_arp(f, len, a, mac);
	} else {
		says = nd_says(b, len, addr_bytes(&a), &mac_at);
		read = segment_frame_nd(f, len, a, mac);
	}
	if (says != read || (says && memcmp(mac, b + mac_at, MAC_LEN) != 0))
		abort();
	free(f);
}

/* What we send ourselves is understood by the others: the input is who and for what. */
static void round_trip(const uint8_t *data, size_t size)
{
	struct addr a = addr_from_v6(data);
	uint8_t mac[MAC_LEN] = {0};
	union frame f;
	size_t len = segment_frame_make(&f, own, a, data[size - 1] & 1);
	bool read = addr_is_v4(a) ? segment_frame_arp(&f, len, a, mac)
				  : segment_frame_nd(&f, len, a, mac);

	if (!read || memcmp(mac, own, MAC_LEN) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > sizeof(union frame))
		size = sizeof(union frame);
	if (size >= sizeof(struct ethhdr)) {
		check(data, size, "203.0.113.10");
		check(data, size, "2001:db8::10");
	}
	if (size > 16)
		round_trip(data, size);
	return 0;
}
