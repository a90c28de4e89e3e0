/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Where an entry of "ips" is, seen from one interface of the pod. */
enum place { PLACE_HERE, PLACE_ANYWHERE, PLACE_HOST, PLACE_ELSEWHERE };

static const char *text_of(const struct json *obj, const char *key)
{
	const char *s;

	return json_string(json_get_nocase(obj, key), &s, NULL) == 0 ? s : "";
}

static enum place ip_place(const struct json *prev, const struct json *ip, const char *ifname)
{
	const struct json *ifaces = json_get_nocase(prev, "interfaces");
	const struct json *iface;
	int64_t index;

	if (json_int(json_get_nocase(ip, "interface"), 0, INT32_MAX, &index, NULL) < 0)
		return PLACE_ANYWHERE;
	iface = json_at(ifaces, (size_t)index);
	if (!iface)
		return PLACE_ANYWHERE;
	if (!*text_of(iface, "sandbox"))
		return PLACE_HOST; /* whatever its name: the host may have an eth0, too */
	return strcmp(text_of(iface, "name"), ifname) == 0 ? PLACE_HERE : PLACE_ELSEWHERE;
}

/* "24" of "10.1.2.3/24", at most 32 or 128; nothing after the address is allowed, too. */
static int prefix_len_parse(const char *s, struct cni_ip *ip)
{
	unsigned long max = addr_is_v4(ip->addr) ? 32 : 128, v;
	char *end;

	if (!*s)
		return 0;
	if (s[1] < '0' || s[1] > '9')
		return -EINVAL;
	v = strtoul(s + 1, &end, 10);
	if (*end || v > max)
		return -EINVAL;
	ip->prefix_len = (uint8_t)v;
	return 0;
}

/* What cannot be the source of a packet is nobody's address. */
static int host_check(const struct json *j, struct addr a, struct err *e)
{
	if (!addr_is_unspecified(a) && !addr_is_loopback(a) && !addr_is_multicast(a))
		return 0;
	return err_set(e, -EINVAL, "%s '%s': no pod can have this address", json_path(j),
		       addr_str(a));
}

/* "10.1.2.3/24": an address with its prefix length, host bits and all. */
static int ip_parse(const struct json *ip, struct cni_ip *ret, struct err *e)
{
	const struct json *j = json_get_nocase(ip, "address");
	char buf[ADDR_STRLEN];
	const char *s;
	size_t n;
	int r;

	if (!j)
		return err_set(e, -EINVAL, "%s: no address", json_path(ip));
	r = json_string(j, &s, e);
	if (r < 0)
		return r;
	n = strcspn(s, "/");
	if (n < sizeof(buf)) {
		memcpy(buf, s, n);
		buf[n] = 0;
		if (addr_parse(buf, &ret->addr) == 0 && prefix_len_parse(s + n, ret) == 0)
			return host_check(j, ret->addr, e);
	}
	return err_set(e, -EINVAL, "%s '%.64s': expected an address with its prefix length",
		       json_path(j), s);
}

static bool known(const struct cni_ip *ips, size_t n, struct addr a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_eq(ips[i].addr, a))
			return true;
	return false;
}

struct ip_list {
	struct cni_ip *ips;
	size_t max, n;
};

/* Adds the addresses of the wanted place (and those of no place in particular). */
static int addrs_collect(const struct json *prev, const char *ifname, enum place wanted,
			 struct ip_list *list, struct err *e)
{
	const struct json *ips = json_get_nocase(prev, "ips");

	for (size_t i = 0; i < json_len(ips); i++) {
		const struct json *ip = json_at(ips, i);
		enum place place = ip_place(prev, ip, ifname);
		struct cni_ip found = {0};
		int r;

		if (place != wanted && place != PLACE_ANYWHERE)
			continue;
		r = ip_parse(ip, &found, e);
		if (r < 0)
			return r;
		if (known(list->ips, list->n, found.addr))
			continue;
		if (list->n == list->max)
			return err_set(e, -E2BIG, "more than %zu addresses on %s", list->max,
				       ifname);
		list->ips[list->n++] = found;
	}
	return 0;
}

int cni_result_addrs(const struct json *prev, const char *ifname, struct cni_ip *ret_ips,
		     size_t max, size_t *ret_n, struct err *e)
{
	const struct json *ips = json_get_nocase(prev, "ips");
	struct ip_list list = {ret_ips, max, 0};
	int r = 0;

	if (json_type(ips) != JSON_NULL)
		r = json_expect(ips, JSON_ARRAY, e);
	if (r == 0)
		r = addrs_collect(prev, ifname, PLACE_HERE, &list, e);
	if (r == 0 && list.n == 0)
		r = addrs_collect(prev, ifname, PLACE_HOST, &list, e);
	if (r < 0)
		return r;
	*ret_n = list.n;
	return 0;
}

/* Go also reads "CNIVersion": two spellings in one object would be two answers. */
static void other_spellings_del(struct json *obj, const char *key)
{
	for (;;) {
		__cleanup_free char *other = NULL;

		for (size_t i = 0; !other && i < json_len(obj); i++) {
			const char *k = json_key_at(obj, i);

			if (strcasecmp(k, key) == 0 && strcmp(k, key))
				other = mem_strdup(k);
		}
		if (!other)
			return;
		json_del(obj, other);
	}
}

char *cni_result_emit(const struct json *prev, const char *version)
{
	__cleanup_json struct json *out = json_dup(prev);

	other_spellings_del(out, "cniVersion");
	json_set(out, "cniVersion", json_new_string(version));
	return json_emit(out, 0);
}
