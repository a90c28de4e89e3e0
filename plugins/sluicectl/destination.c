/* SPDX-License-Identifier: Apache-2.0 */
#include "destination.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "policy/doc.h"
#include "policy/fqdn.h"

static const struct {
	const char *name;
	uint8_t number;
	bool typed; /* the number behind the colon is a type */
} protocols[] = {
	{"TCP", IPPROTO_TCP, false},	  {"UDP", IPPROTO_UDP, false},
	{"SCTP", IPPROTO_SCTP, false},	  {"ICMP", IPPROTO_ICMP, true},
	{"ICMPv6", IPPROTO_ICMPV6, true},
};

#define N_PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

static long number_parse(const char *s, long max)
{
	char *end;
	long v;

	if (*s < '0' || *s > '9')
		return -1;
	v = strtol(s, &end, 10);
	return *end || v > max ? -1 : v;
}

static long protocol_parse(const char *s)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (strcasecmp(s, protocols[i].name) == 0)
			return protocols[i].number;
	return number_parse(s, 255);
}

static bool is_typed(long proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* Cuts text at the colon before the port; NULL = there is none. */
static char *port_cut(char *text, char **ret_addr)
{
	char *colon = strchr(text, ':');
	char *end;

	*ret_addr = text;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end)
			return NULL;
		*ret_addr = text + 1;
		*end = 0;
		return end[1] == ':' ? end + 2 : NULL;
	}
	if (!colon || strchr(colon + 1, ':'))
		return NULL; /* none, or a bare IPv6 address */
	*colon = 0;
	return colon + 1;
}

static void keys_set(struct destination *d, long proto, long port)
{
	uint32_t p = (uint32_t)proto;

	if (proto < 0) {
		d->lo = 0;
		d->hi = L4_MAX;
	} else if (port < 0) {
		d->lo = L4_KEY(p, 0);
		d->hi = L4_KEY(p, 0xffff);
	} else {
		d->lo = d->hi = L4_KEY(p, is_typed(proto) ? port << 8 : port);
	}
}

static bool looks_like_name(const char *text)
{
	char name[FQDN_MAX + 1];
	const char *why, *top = strrchr(text, '.');

	return top && strpbrk(top, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") &&
	       fqdn_check(text, name, &why) == 0;
}

int destination_parse(const char *text, struct destination *ret, struct err *e)
{
	__cleanup_free char *copy = mem_strdup(text);
	char *slash = strrchr(copy, '/'), *port_text, *addr_text;
	long proto = -1, port = -1;

	if (slash) {
		*slash = 0;
		proto = protocol_parse(slash + 1);
		if (proto < 0)
			return err_set(
				e, -EINVAL,
				"'%s': unknown protocol '%s', expected TCP, UDP, SCTP, ICMP, "
				"ICMPv6 or a number",
				text, slash + 1);
	}
	port_text = port_cut(copy, &addr_text);
	if (addr_parse(addr_text, &ret->addr) < 0 && looks_like_name(addr_text))
		return err_set(e, -EINVAL,
			       "'%s' is a name: ask for one of its addresses, with --fqdn %s",
			       addr_text, addr_text);
	if (addr_parse(addr_text, &ret->addr) < 0)
		return err_set(e, -EINVAL, "'%s': '%s' is not an address", text, addr_text);
	if (port_text) {
		proto = proto < 0 ? IPPROTO_TCP : proto;
		port = number_parse(port_text, is_typed(proto) ? 255 : 65535);
		if (port < 0)
			return err_set(e, -EINVAL, "'%s': '%s' is not a port", text, port_text);
	}
	keys_set(ret, proto, port);
	return 0;
}

static const char *protocol_text(uint32_t proto, char *buf, size_t size)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++)
		if (protocols[i].number == proto)
			return protocols[i].name;
	snprintf(buf, size, "protocol %u", proto);
	return buf;
}

static void key_text(uint32_t key, char *buf, size_t size)
{
	uint32_t proto = key >> 16;
	char name[24];

	if (is_typed(proto))
		snprintf(buf, size, "%s/%u", protocol_text(proto, name, sizeof(name)),
			 key >> 8 & 0xff);
	else
		snprintf(buf, size, "%s/%u", protocol_text(proto, name, sizeof(name)),
			 key & 0xffff);
}

const char *l4_text(uint32_t lo, uint32_t hi)
{
	static char text[96];
	char from[40], to[40];

	if (lo == 0 && hi == L4_MAX)
		return "any protocol";
	if ((lo & 0xffff) == 0 && hi == (lo | 0xffff))
		return protocol_text(lo >> 16, text, sizeof(text));
	key_text(lo, from, sizeof(from));
	key_text(hi, to, sizeof(to));
	if (lo == 0) /* "protocol 0/0 to …" would be right, and say nothing to anybody */
		snprintf(text, sizeof(text), "all up to %s", to);
	else if (hi == L4_MAX)
		snprintf(text, sizeof(text), "all from %s on", from);
	else if (strcmp(from, to) == 0)
		snprintf(text, sizeof(text), "%s", from);
	else
		snprintf(text, sizeof(text), "%s to %s", from, to);
	return text;
}
