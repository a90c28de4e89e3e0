/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the fuzzers of netlink answers, included once each: the readers of attributes
 * in libnl and libmnl take the kernel's word for the length, and what they read behind
 * its end no sanitizer sees. These replace them, and abort.
 */
#include <libmnl/libmnl.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

#ifndef ATTR_TOO_SHORT
#define ATTR_TOO_SHORT() abort()
#endif

static const void *payload(const void *data, size_t len, size_t wanted)
{
	if (len < wanted)
		ATTR_TOO_SHORT();
	return data;
}

uint8_t nla_get_u8(const struct nlattr *a)
{
	return *(const uint8_t *)payload(nla_data(a), (size_t)nla_len(a), 1);
}

uint16_t nla_get_u16(const struct nlattr *a)
{
	uint16_t v;

	memcpy(&v, payload(nla_data(a), (size_t)nla_len(a), sizeof(v)), sizeof(v));
	return v;
}

char *nla_get_string(const struct nlattr *a)
{
	char *s = nla_data(a);

	if (!memchr(s, 0, (size_t)nla_len(a)))
		abort();
	return s;
}

uint8_t mnl_attr_get_u8(const struct nlattr *a)
{
	return *(const uint8_t *)payload(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), 1);
}

uint16_t mnl_attr_get_u16(const struct nlattr *a)
{
	uint16_t v;

	memcpy(&v, payload(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), sizeof(v)),
	       sizeof(v));
	return v;
}

uint32_t mnl_attr_get_u32(const struct nlattr *a)
{
	uint32_t v;

	memcpy(&v, payload(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), sizeof(v)),
	       sizeof(v));
	return v;
}

const char *mnl_attr_get_str(const struct nlattr *a)
{
	if (!a)
		ATTR_TOO_SHORT();
	return mnl_attr_get_payload(a);
}
