/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/dns_random.h"

#include <stddef.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "testkit/netns_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const patterns[NAMES_N] = NAMES_PATTERNS;
static uint32_t (*rnd)(uint32_t n);

/* ---- messages ---- */

static const char *random_name(void)
{
	static const char *const labels[] = {
		"api",	   "a",
		"b",	   "edge",
		"cdn",	   "example",
		"EXAMPLE", "com",
		"net",	   "org",
		"x",	   "1",
		"x\\.y",   "a-very-long-label-of-forty-characters-xxx"};
	static const char *const ends[] = {"example.com",   "Example.NET",     "a.example.com",
					   "1.example.org", "cdn.example.net", "x"};
	static char text[400];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = rnd(4); i; i--)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s.",
				      labels[rnd(COUNT(labels))]);
	if (!rnd(40)) /* about as long as a name can be */
		for (uint32_t i = rnd(7); i; i--)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s.",
					      labels[COUNT(labels) - 1]);
	snprintf(text + n, sizeof(text) - n, "%s", ends[rnd(COUNT(ends))]);
	return text;
}

static const char *random_addr(void)
{
	static const char *const addrs[] = {
		"198.51.100.1",	   "198.51.100.2", "203.0.113.9", "10.1.2.3", "127.0.0.1",
		"169.254.169.254", "224.0.0.1",	   "172.20.0.1",  "0.0.0.0",  "2001:db8:77::1",
		"2001:db8:77::2",  "::1",	   "fe80::1",	  "fd00::1",  "::ffff:198.51.100.1",
		"8.8.8.8",	   "ff02::1",	   "::",
	};

	return addrs[rnd(COUNT(addrs))];
}

static uint32_t random_ttl(void)
{
	static const uint32_t some[] = {0, 1, 30, 31, 300, 3600, 604800, 604801, 0x7fffffff, ~0u};

	return rnd(2) ? some[rnd(COUNT(some))] : rnd(1000);
}

/* An owner: mostly the chain's present name, in one spelling or another. */
static void random_owner(struct dns_message *m, const char *chain, size_t chain_at)
{
	switch (rnd(8)) {
	case 0:
		dns_name(m, random_name());
		break;
	case 1:
		dns_name(m, chain);
		break;
	case 2: /* a label, then what follows the chain's first one */
		m->b[m->n++] = 1;
		m->b[m->n++] = "aAbxX"[rnd(5)];
		dns_pointer(m, chain_at + 1u + (m->b[chain_at] < 64 ? m->b[chain_at] : 0));
		break;
	default:
		dns_pointer(m, chain_at);
	}
}

static void random_answer(struct dns_message *m)
{
	char chain[400];
	size_t chain_at;

	snprintf(chain, sizeof(chain), "%s", random_name());
	dns_answer(m, chain);
	chain_at = m->question;
	for (uint32_t i = rnd(12); i; i--) {
		uint8_t a[16];
		uint32_t what = rnd(10);

		random_owner(m, chain, chain_at);
		if (what < 3) {
			snprintf(chain, sizeof(chain), "%s", random_name());
			chain_at = dns_record(m, DNS_TYPE_CNAME, random_ttl(), NULL, 0);
			dns_name(m, chain);
			m->b[chain_at - 2] = (uint8_t)((m->n - chain_at) >> 8);
			m->b[chain_at - 1] = (uint8_t)(m->n - chain_at);
		} else if (what < 9) {
			struct slu_addr addr = world_addr(random_addr());
			bool v4 = addr.w[2] == __builtin_bswap32(0xffff) && !addr.w[0] &&
				  !addr.w[1] && rnd(8);

			memcpy(a, v4 ? &addr.w[3] : &addr.w[0], v4 ? 4 : 16);
			dns_record(m, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, random_ttl(), a,
				   v4 ? 4 : 16);
		} else {
			dns_record(m, DNS_TYPE_TXT, 5, chain, rnd(40));
		}
	}
}

static void random_damage(struct dns_message *m)
{
	static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 12, 16, 28, 63, 64, 0xc0, 0xff};

	if (rnd(3) == 0)
		return;
	for (uint32_t i = rnd(4); i; i--)
		m->b[rnd((uint32_t)m->n)] = rnd(2) ? telling[rnd(COUNT(telling))]
						   : (uint8_t)rnd(256);
	if (!rnd(4))
		m->n = 1 + rnd((uint32_t)m->n);
	if (!rnd(8))
		m->n += rnd(20);
}

void dns_random_make(struct dns_message *m, uint32_t (*below)(uint32_t n))
{
	rnd = below;
	random_answer(m);
	random_damage(m);
}

/* ---- what should be known ---- */

struct expected {
	struct slu_addr addr;
	uint32_t ttl[NAMES_N]; /* 0 = not under this one; else it holds for ttl - 1 */
};

struct all {
	struct expected v[DNS_READ_ADDRS];
	size_t n;
};

static bool no_destination(const struct slu_addr *a)
{
	static const struct {
		const char *addr;
		uint32_t len;
	} none[] = {
		{"0.0.0.0", 8},	 {"127.0.0.0", 8},   {"169.254.0.0", 16},     {"224.0.0.0", 4},
		{"10.0.0.0", 8}, {"172.16.0.0", 12}, {"255.255.255.255", 32}, {"fe80::", 10},
		{"ff00::", 8},	 {"fd00::", 8},
	};
	static const uint8_t nothing[8], mapped[12] = {[10] = 0xff, 0xff};
	struct addr addr = slu_addr_get(*a);

	for (size_t i = 0; i < COUNT(none); i++) {
		struct slu_lpm_key key = world_prefix(none[i].addr, none[i].len);

		if (cidr_contains(cidr_make(slu_addr_get(key.addr), (uint8_t)key.prefixlen),
				  cidr_host(addr)))
			return true;
	}
	return memcmp(a, nothing, 8) == 0 && memcmp(a, mapped, 12) != 0;
}

static struct expected *expected_of(struct all *all, const struct slu_addr *addr)
{
	for (size_t i = 0; i < all->n; i++)
		if (memcmp(&all->v[i].addr, addr, sizeof(*addr)) == 0)
			return &all->v[i];
	all->v[all->n] = (struct expected){.addr = *addr};
	return &all->v[all->n++];
}

static void expected_make(const struct dns_read *r, struct all *all)
{
	all->n = 0;
	for (size_t i = 0; i < r->n_addrs; i++) {
		uint32_t ttl = (r->addrs[i].ttl > MIN_TTL ? r->addrs[i].ttl : MIN_TTL) + GRACE + 1;

		if (r->addrs[i].v4_in_v6 || no_destination(&r->addrs[i].addr))
			continue;
		for (size_t p = 0; p < NAMES_N; p++) {
			uint32_t *have;

			if (!dns_pattern_fits(patterns[p], r->asked))
				continue;
			have = &expected_of(all, &r->addrs[i].addr)->ttl[p];
			*have = ttl > *have ? ttl : *have;
		}
	}
}

/* Addresses under any name. */
static size_t known(void)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free struct slu_named *values = NULL;
	struct err e = {0};
	size_t n = 0, with_names = 0;

	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_NAMED, &keys, (void **)&values, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < SLU_MAX_NAMES_AT; k++)
			if (values[i].at[k].name) {
				with_names++;
				break;
			}
	return with_names;
}

static const char *differs(const struct all *all, uint32_t from, uint32_t to)
{
	struct slu_named v;

	if (known() != all->n)
		return known() < all->n ? "an address was not learned" : "an address too many";
	for (size_t i = 0; i < all->n; i++) {
		if (!names_known(addr_str(slu_addr_get(all->v[i].addr)), &v))
			return "another address";
		for (size_t p = 0; p < NAMES_N; p++) {
			uint32_t until = 0, ttl = all->v[i].ttl[p];

			for (int k = 0; k < SLU_MAX_NAMES_AT; k++)
				until = v.at[k].name == p + 1 ? v.at[k].until : until;
			if (!ttl != !until)
				return "another pattern";
			if (ttl && (until < from + ttl - 1 || until > to + ttl - 1))
				return "another time";
		}
	}
	return NULL;
}

const char *dns_random_judge(const struct dns_message *m, void (*tell)(const struct dns_message *m),
			     struct dns_judged *ret)
{
	uint64_t bad = names_counted(SLU_NAMES_MALFORMED);
	static struct dns_read r;
	static struct all all;
	uint32_t from, to;
	const char *wrong;

	dns_read(m->b, m->n, &r);
	expected_make(&r, &all);
	from = names_now();
	tell(m);
	to = names_now();
	wrong = differs(&all, from, to);
	if (!wrong && names_counted(SLU_NAMES_MALFORMED) - bad != r.malformed)
		wrong = r.malformed ? "is malformed" : "is not malformed";
	if (all.n)
		names_forget();
	*ret = (struct dns_judged){all.n, r.malformed};
	return wrong;
}
