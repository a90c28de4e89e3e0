/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Checks of netlink messages that libnl and libmnl lack. */
#include <errno.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * How many of the received bytes are whole messages. libmnl compares lengths as signed
 * numbers, so a message of more than 2 GiB passes its check, and its walk runs out of the
 * buffer or never ends.
 */
static inline size_t nlmsg_whole(const void *buf, size_t len)
{
	size_t at = 0;

	while (len - at >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr h;
		size_t step;

		memcpy(&h, (const uint8_t *)buf + at, sizeof(h));
		step = NLMSG_ALIGN((size_t)h.nlmsg_len);
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at)
			break;
		at = step > len - at ? len : at + step;
	}
	return at;
}

/* The code of a refusal as -errno: what is none must not pass for success. */
static inline int nlmsg_refusal(int code)
{
	return code < 0 && code >= -4095 ? code : -EBADMSG; /* MAX_ERRNO of the kernel */
}
