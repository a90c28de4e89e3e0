/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/policy_fixture.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

/* Interfaces have host bits. */
static struct cidr iface_addr_of(const char *text)
{
	char buf[CIDR_STRLEN];
	char *slash;
	struct cidr c;

	snprintf(buf, sizeof(buf), "%s", text);
	slash = strchr(buf, '/');
	if (!slash)
		give_up("not a prefix: %s", text);
	*slash = 0;
	c.addr = addr_of(buf);
	c.len = (uint8_t)(strtol(slash + 1, NULL, 10) + (addr_is_v4(c.addr) ? 96 : 0));
	return c;
}

struct labels labels_from_text(const char *text)
{
	struct labels labels = {};
	char *copy = mem_strdup(text), *save = NULL;

	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		char *eq = strchr(s, '=');

		if (!eq)
			give_up("not a label: %s", s);
		*eq = 0;
		labels_set(&labels, s, eq + 1);
	}
	free(copy);
	return labels;
}

uint32_t l4_key_of(const char *text)
{
	static const struct {
		const char *name;
		uint8_t proto, shift;
	} protos[] = {{"tcp/", IPPROTO_TCP, 0},
		      {"udp/", IPPROTO_UDP, 0},
		      {"sctp/", IPPROTO_SCTP, 0},
		      {"icmp/", IPPROTO_ICMP, 8},
		      {"icmpv6/", IPPROTO_ICMPV6, 8}};

	for (size_t i = 0; i < sizeof(protos) / sizeof(*protos); i++) {
		size_t n = strlen(protos[i].name);

		if (strncmp(text, protos[i].name, n) == 0)
			return L4_KEY(protos[i].proto, strtol(text + n, NULL, 10)
							       << protos[i].shift);
	}
	return L4_KEY(IPPROTO_TCP, 1);
}

struct doc_set *docs_from_yaml(const char *yaml)
{
	struct doc_set *set = doc_set_new();
	struct err e = {};

	if (doc_set_add_text(set, "test.yaml", yaml, strlen(yaml), &e) || doc_set_finish(set, &e))
		give_up("%s", e.msg);
	return set;
}

static void add_iface(struct policy_fixture *f, char *text)
{
	size_t i = f->node.n_ifaces++;
	char *save = NULL;
	char *name = strtok_r(text, " ", &save);

	snprintf(f->names[i], sizeof(f->names[i]), "%s", name);
	f->ifaces[i].name = f->names[i];
	f->ifaces[i].addrs = f->addrs[i];
	for (char *s = strtok_r(NULL, " ", &save); s; s = strtok_r(NULL, " ", &save))
		f->addrs[i][f->ifaces[i].n_addrs++] = iface_addr_of(s);
}

void policy_fixture_node(struct policy_fixture *f, const char *node_name, const char *ifaces)
{
	char *copy = mem_strdup(ifaces), *save = NULL;

	*f = (struct policy_fixture){.cluster_cidr = cidr_of("10.244.0.0/16")};
	for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save))
		add_iface(f, s);
	free(copy);
	f->node.name = node_name;
	f->node.ifaces = f->ifaces;
	f->node.cluster_cidrs = &f->cluster_cidr;
	f->node.n_cluster_cidrs = 1;
}

void policy_fixture_compile(struct policy_fixture *f)
{
	struct err e = {};

	if (policy_compile(f->set, &f->node, &f->c, &e))
		give_up("%s", e.msg);
}

void policy_fixture_init(struct policy_fixture *f, const char *yaml, const char *node_name,
			 const char *ifaces)
{
	policy_fixture_node(f, node_name, ifaces);
	f->set = docs_from_yaml(yaml);
	policy_fixture_compile(f);
}

void policy_fixture_done(struct policy_fixture *f)
{
	compiled_free(f->c);
	doc_set_free(f->set);
}

const struct egress_addr *policy_fixture_addr(const struct policy_fixture *f, const char *text)
{
	return compiled_addr_find(f->c, addr_of(text));
}
